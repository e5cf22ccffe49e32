"""The evidence for a model: what is measured, how it is scored, and the cards that say so.

python -m model_card evaluate --model mini --data DIR
python -m model_card experiment pareto --model mini --data DIR
python -m model_card COMMAND --help
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from model_card.flags import WRONG_USE, guarded

# Command -> module with `flags` and `run`, and what it does.
COMMANDS = {
    "evaluate": ("evidence.evaluate", "strict F1 on the benchmarks, under any decoding"),
    "predict": ("evidence.predict", "compute and keep the predictions of the experiments"),
    "experiment": ("experiments.command", "one experiment by its name, listed below"),
    "evidence": ("release.evidence", "all standard experiments, and the card"),
    "speed": ("speed.extraction", "how fast extraction is, beside other systems' work"),
    "speed latency": ("speed.latency", "how long one sentence takes"),
    "speed replay": ("speed.replay", "count the forwards of the sentences that speed is measured on"),
    "speed scale": ("speed.scale", "a corpus annotated while processes are killed"),
    "speed shape": ("speed.shape", "Dream-7B's full shape: loading, extraction, a backward pass"),
    "speed training": ("speed.training", "LoRA training at Dream-7B's shape"),
    "speed energy": ("speed.energy", "the energy of any command on a GPU"),
    "baseline": ("baselines.run", "answers of other systems to the benchmarks"),
    "baseline parrot": ("baselines.parrot", "a network that knows answers by heart, to test the path"),
    "card": ("release.card", "write a model's card and pictures"),
    "render": ("figures.render", "fill the figures of the README files"),
    "release": ("release.__main__", "assemble, check, compare and upload the artefacts"),
}


def usage() -> str:
    """Return all commands and experiments."""
    from model_card.experiments.registry import EXPERIMENTS

    lines = [f"  {name:18} {what}" for name, (_, what) in COMMANDS.items()]
    own = [f"  {name:18} {experiment.what}" for name, experiment in EXPERIMENTS.items()]
    return "\n".join([__doc__ or "", "commands:", *lines, "", "experiments:", *own])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit status 2 for wrong use, 1 for a failure."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in ("-h", "--help"):
        print(usage())
        return 0
    found = next((n for n in (2, 1) if " ".join(words[:n]) in COMMANDS), 0)
    if not found:
        told = f"there is no command {words[0]!r}" if words else "give a command"
        print(f"error: {told}\n{usage()}", file=sys.stderr)
        return WRONG_USE
    name, rest = " ".join(words[:found]), words[found:]
    module: Any = import_module(f"model_card.{COMMANDS[name][0]}")
    description, flags, run = module.__doc__, module.flags, module.run
    if name == "experiment":
        from model_card.experiments.registry import EXPERIMENTS

        if not rest or rest[0] not in EXPERIMENTS:
            told = f"there is no experiment {rest[0]!r}" if rest else "name an experiment"
            print(f"error: {told}; known are {', '.join(EXPERIMENTS)}", file=sys.stderr)
            return WRONG_USE
        experiment = EXPERIMENTS[rest[0]]
        name, rest = f"experiment {rest[0]}", rest[1:]
        description = sys.modules[experiment.run.__module__].__doc__
        flags, run = (partial(one, experiment=experiment) for one in (flags, run))
    parser = argparse.ArgumentParser(
        prog=f"python -m model_card {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags(parser)
    args = parser.parse_args(rest)
    return guarded(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
