"""Command line: how long completions are, how much a canvas covers, and what windows change.

``python -m dataset_builder.lengths --dataset DIR`` reads what ``python -m dataset_builder.build`` wrote.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_dataset
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from dataset_builder.settings import DEFAULT_CONFIG, DEFAULT_TOKENIZER, END_TOKENS, NEGATIVES
from dataset_builder.tokens import TokenCounter, TokenizerError
from dataset_builder.workers import batched
from modeling.canvas.template import Mention, render_mentions, render_prompt

CANVASES = (64, 96, 128, 160)
SEQUENCES = (256, 384, 512, 768)
_BATCH = 512


@dataclass(frozen=True)
class Lengths:
    """Token counts of many rows.

    ``completion``: int array (rows,), each with its end mark, as a canvas must hold it. ``total``: the same
    with the prompt.
    """

    name: str
    completion: np.ndarray
    total: np.ndarray

    def figures(self) -> dict[str, Any]:
        """Return the distribution: quantiles in tokens, ``covered`` as shares in [0, 1] by limit."""
        return {
            "rows": len(self.completion),
            "completion": _distribution(self.completion, CANVASES),
            "prompt_and_completion": _distribution(self.total, SEQUENCES),
        }


def _distribution(counts: np.ndarray, limits: Sequence[int]) -> dict[str, Any]:
    quantiles = {"median": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
    return {
        "mean": round(float(counts.mean()), 2),
        **{name: int(np.quantile(counts, q, method="higher")) for name, q in quantiles.items()},
        "max": int(counts.max()),
        "covered": {str(limit): round(float((counts <= limit).mean()), 6) for limit in limits},
    }


def passage_pairs(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield prompt and completion of whole passages, asked for the types that they have.

    Passages without mentions have nothing to ask for and are left out.
    """
    for row in rows:
        mentions = [Mention(e["start"], e["end"], e["type"], e["text"]) for e in row["entities"]]
        types = list(dict.fromkeys(m.type for m in mentions))
        if types:
            yield render_prompt(types, row["text"]), render_mentions(mentions, types)


def measure(name: str, pairs: Iterable[tuple[str, str]], counter: TokenCounter) -> Lengths:
    """Count the tokens of (prompt, completion) pairs.

    Raises:
        ValueError: there are none.
    """
    completions: list[int] = []
    totals: list[int] = []
    for batch in batched(pairs, _BATCH):
        prompt = counter.counts([prompt for prompt, _ in batch])
        completion = [count + END_TOKENS for count in counter.counts([text for _, text in batch])]
        completions.extend(completion)
        totals.extend(sum(pair) for pair in zip(prompt, completion, strict=True))
    if not completions:
        raise ValueError(f"the data set has no rows with mentions to measure ({name})")
    return Lengths(name, np.array(completions), np.array(totals))


def table(measured: Sequence[Lengths], part: str) -> Table:
    """Return one part of the figures (``completion`` or ``prompt_and_completion``) as a terminal table."""
    shown = Table(title=f"Tokens of {part.replace('_', ' ')}", title_justify="left")
    shown.add_column("figure")
    columns = []
    for lengths in measured:
        shown.add_column(lengths.name, justify="right")
        figures = lengths.figures()
        covered = figures[part].pop("covered")
        columns.append(
            {"rows": f"{figures['rows']:,}"}
            | {name: f"{value:,}" for name, value in figures[part].items()}
            | {f"within {limit}": f"{100 * share:.1f}%" for limit, share in covered.items()}
        )
    for name in columns[0]:
        shown.add_row(name, *(column[name] for column in columns))
    return shown


def plot(measured: Sequence[Lengths], path: Path) -> None:
    """Draw the share of completions that a canvas of each length covers."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for lengths in measured:
        counts = np.sort(lengths.completion)
        axes.step(counts, 100 * np.arange(1, len(counts) + 1) / len(counts), where="post", label=lengths.name)
    for canvas in CANVASES:
        axes.axvline(canvas, color="0.8", linewidth=0.8, zorder=0)
        axes.annotate(str(canvas), (canvas, 1), color="0.5", ha="right", rotation=90)
    longest = max(float(np.quantile(lengths.completion, 0.995)) for lengths in measured)
    axes.set(
        xlabel="canvas length (tokens)",
        ylabel="completions that fit (%)",
        xlim=(0, max(longest, CANVASES[-1] * 1.1)),
        ylim=(0, 101),
    )
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.lengths",
        description="Measure completions in tokens: of whole passages, and of the windows they are cut into.",
    )
    parser.add_argument("--dataset", required=True, metavar="DIR", help="what dataset_builder.build wrote")
    parser.add_argument("--config", default=DEFAULT_CONFIG, choices=list(NEGATIVES))
    parser.add_argument("--split", default="train")
    parser.add_argument("--tokenizer", default=DEFAULT_TOKENIZER, metavar="ID_OR_DIR")
    parser.add_argument("--plot", type=Path, default=Path("lengths.png"), metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        counter = TokenCounter.load(options.tokenizer)
        spans = load_dataset(options.dataset, "spans", split=options.split, streaming=True)
        rows = load_dataset(options.dataset, options.config, split=options.split, streaming=True)
        measured = [
            measure("whole passages", passage_pairs(spans), counter),
            measure(f"windows ({options.config})", ((r["prompt"], r["completion"]) for r in rows), counter),
        ]
    except (TokenizerError, OSError, ValueError) as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    console.print(table(measured, "completion"), table(measured, "prompt_and_completion"))
    console.print(
        "Each completion counts with its end mark; whole passages are asked for their own types only."
    )
    plot(measured, options.plot)
    console.print(f"drew {options.plot}", highlight=False)
    if options.json:
        figures = {lengths.name: lengths.figures() for lengths in measured}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
