"""Turns passages into rows of prompt and completion that fit the model."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dataset_builder.negatives import MAX_NEGATIVE_TOKENS, NegativeSampler
from dataset_builder.passages import Passage
from dataset_builder.settings import END_TOKENS, MAX_NEGATIVES, NEGATIVES, BuildSettings
from dataset_builder.tokens import TokenCounter
from dataset_builder.windows import Budget, PassageCosts, Window, cut_windows
from modeling.canvas.template import Mention, render_mentions, render_prompt

Row = dict[str, Any]

# Where a window proves too long, its passage is cut again with this share of the budget.
_TIGHTER = 0.85
_LEAST_TEXT = 16  # tokens: one token of text that falls apart when it stands alone, and " none"


@dataclass(frozen=True)
class Query:
    """A window of a passage and what is asked of it.

    ``mentions`` have the window's offsets. ``types`` are all that the largest variant asks for, in the
    order of the prompt; ``negatives`` those of them that the passage has not, best first; ``negatives_drawn``
    how many of these the variant with a random number takes. ``completion`` answers the largest variant.
    """

    start: int
    end: int
    mentions: tuple[Mention, ...]
    types: tuple[str, ...]
    negatives: tuple[str, ...]
    negatives_drawn: int
    completion: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values that :func:`render_rows` reads."""
        return {**vars(self), "mentions": _entities(self.mentions)}


class RowCutter:
    """Cuts passages into queries whose largest variant keeps within the settings' token limits."""

    def __init__(
        self,
        settings: BuildSettings,
        counter: TokenCounter,
        sampler: NegativeSampler,
        type_costs: dict[str, int],
    ) -> None:
        self._limits = Budget(
            settings.max_seq_length - END_TOKENS, settings.max_completion_tokens - END_TOKENS
        )
        self._counter = counter
        self._sampler = sampler
        self._type_costs = type_costs
        self._fixed_cost = counter.counts([render_prompt(["a"], "b")])[0]
        # What is left for the text where nothing can be dropped any more: so cutting always ends.
        least = END_TOKENS + self._fixed_cost + MAX_NEGATIVES * (MAX_NEGATIVE_TOKENS + 1) + _LEAST_TEXT
        if settings.max_seq_length < least:
            raise ValueError(
                f"max_seq_length is {settings.max_seq_length}, but this tokenizer needs {least} tokens "
                "for the shortest row; use a larger one"
            )

    def cut(self, passages: Sequence[Passage]) -> list[tuple[list[Query], frozenset[Mention]]]:
        """Return for each passage its queries, in order, and the mentions that none of them holds."""
        pools = [self._pool(passage) for passage in passages]
        done: dict[int, list[tuple[Window, Query]]] = {}
        costs: dict[int, PassageCosts] = {}
        share = 1.0
        trial = {index: [_whole(passage)] for index, passage in enumerate(passages)}
        while trial:
            queries = {
                index: [self._query(passages[index], window, pools[index]) for window in windows]
                for index, windows in trial.items()
            }
            too_long = self._too_long(passages, queries)
            for index, windows in trial.items():
                if index not in too_long:
                    done[index] = list(zip(windows, queries[index], strict=True))
            fresh = [index for index in too_long if index not in costs]
            starts = self._counter.starts([passages[index].text for index in fresh])
            for index, token_starts in zip(fresh, starts, strict=True):
                costs[index] = PassageCosts(token_starts, self._type_costs)
            trial = {
                index: cut_windows(
                    passages[index].text,
                    passages[index].mentions,
                    costs[index],
                    self._budget(pools[index]).scaled(share),
                )
                for index in too_long
            }
            share *= _TIGHTER
        results = []
        for index, passage in enumerate(passages):
            held = {mention for window, _ in done[index] for mention in window.mentions}
            lost = frozenset(passage.mentions) - held
            results.append(([query for _, query in done[index]], lost))
        return results

    def _pool(self, passage: Passage) -> list[str]:
        present = {*passage.types(), *passage.uncertain}
        return self._sampler.pool(passage.id, passage.negatives, present, MAX_NEGATIVES)

    def _budget(self, pool: Sequence[str]) -> Budget:
        dearest = sorted((self._type_costs[name] + 1 for name in pool), reverse=True)[:MAX_NEGATIVES]
        return replace(self._limits, total=self._limits.total - self._fixed_cost - sum(dearest))

    def _query(self, passage: Passage, window: Window, pool: Sequence[str]) -> Query:
        rng = self._sampler.random(passage.id, str(window.start))
        negatives = rng.sample(pool, min(MAX_NEGATIVES, len(pool)))
        types = [*dict.fromkeys(m.type for m in window.mentions), *negatives]
        rng.shuffle(types)
        mentions = tuple(
            Mention(m.start - window.start, m.end - window.start, m.type, m.text) for m in window.mentions
        )
        least, most = NEGATIVES["sft"]
        return Query(
            window.start,
            window.end,
            mentions,
            tuple(types),
            tuple(negatives),
            rng.randint(least, most),
            render_mentions(mentions, types),
        )

    def _too_long(self, passages: Sequence[Passage], queries: dict[int, list[Query]]) -> list[int]:
        """Return the passages that have a query over a limit, by the real number of tokens."""
        flat = [(index, query) for index, listed in queries.items() for query in listed]
        counts = self._counter.counts([query.completion for _, query in flat])
        refused = {
            index for (index, _), count in zip(flat, counts, strict=True) if count > self._limits.completion
        }
        # Prompts are long: those of passages that are refused already, and those of no row, are not counted.
        rest = [
            (index, render_prompt(query.types, passages[index].text[query.start : query.end]), count)
            for (index, query), count in zip(flat, counts, strict=True)
            if index not in refused and query.types
        ]
        prompts = self._counter.counts([prompt for _, prompt, _ in rest])
        refused.update(
            index
            for (index, _, completion), prompt in zip(rest, prompts, strict=True)
            if prompt + completion > self._limits.total
        )
        return sorted(refused)


def render_rows(passage: dict[str, Any], queries: Sequence[dict[str, Any]], config: str) -> Iterator[Row]:
    """Yield the rows of a passage in a configuration of :data:`NEGATIVES`.

    A query that would ask for no type at all gives no row.

    Args:
        passage: at least its ``id`` and ``text``.
        queries: as :meth:`Query.as_json` returns them.
        config: name of the configuration.
    """
    least, most = NEGATIVES[config]
    for number, query in enumerate(queries):
        count = least if least == most else query["negatives_drawn"]
        negatives = query["negatives"][:count]
        unasked = query["negatives"][count:]
        types = [name for name in query["types"] if name not in unasked]
        if not types:
            continue
        text = passage["text"][query["start"] : query["end"]]
        yield {
            "id": f"{passage['id']}#{number}",
            "passage_id": passage["id"],
            "text": text,
            "types": types,
            "negative_types": negatives,
            "entities": query["mentions"],
            "prompt": render_prompt(types, text),
            "completion": _completion(query, types),
        }


def span_row(passage: dict[str, Any]) -> Row:
    """Return the row of a passage in the ``spans`` configuration."""
    text = passage["text"]
    mentions = (Mention(start, end, name, text[start:end]) for name, start, end in passage["mentions"])
    return {
        "id": passage["id"],
        "text": text,
        "entities": _entities(mentions),
        "negative_types": passage["negatives"],
    }


def _completion(query: dict[str, Any], types: Sequence[str]) -> str:
    # What a span must escape depends on the types asked for; without a separator there is nothing to escape.
    if not any("|" in entity["text"] for entity in query["mentions"]):
        return query["completion"]
    return render_mentions(
        (Mention(e["start"], e["end"], e["type"], e["text"]) for e in query["mentions"]), types
    )


def _entities(mentions: Iterable[Mention]) -> list[dict[str, Any]]:
    return [{"type": m.type, "text": m.text, "start": m.start, "end": m.end} for m in mentions]


def _whole(passage: Passage) -> Window:
    start = len(passage.text) - len(passage.text.lstrip())
    return Window(start, len(passage.text.rstrip()), passage.mentions)
