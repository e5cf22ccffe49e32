"""How long rows are in tokens, told before they are collated: rows of like length share a batch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ..canvas.encoding import PromptEncoder
from ..canvas.template import render_completion
from ..canvas.words import split_words
from .queries import Inventory, QuerySampler
from .sampler_key import fraction

BATCH = 1000  # rows that are read and tokenized together
READ = ("types", "source", "negatives", "exhaustive")  # beside text and entities


class EntityLengths:
    """Prompt and both canvases of each row, in tokens.

    Batches of rows of like length hold little padding. What a use of a row takes depends on how many types
    are asked for and on the room that its completion gets; both follow from the seed of the use
    (``QuerySampler.extent``, ``collator.room``), so they are known before the row is read. Which types are
    asked for is not: absent ones count as the mean of those that could be, and present ones as if all were
    asked for.

    ``least`` has each row's tokens if nothing absent is asked for, and ``answers`` those of the rows' whole
    answers, one padding token behind each.

    Args:
        rows: entity rows.
        encoder: of the model's prompts.
        queries: which will draw the queries.
        max_length: the most tokens of a prompt.
        canvas_length: the most tokens of a completion.
    """

    def __init__(
        self,
        rows: Dataset,
        encoder: PromptEncoder,
        queries: QuerySampler,
        max_length: int,
        canvas_length: int,
    ) -> None:
        self.queries, self.max_length, self.canvas_length = queries, max_length, canvas_length
        self._encoder = encoder
        frame = len(encoder.encode(["x"], "x")) - encoder.type_cost("x") - 1
        self._lists = {name: self._costs(_askable(own)) for name, own in queries.inventories.items()}
        measured = np.array(list(self._measure(rows)), dtype=np.int64).reshape(len(rows), 7)
        text, self._words, self._answer, own, own_cost, absent, absent_cost = measured.T
        self._fixed = frame + text + own_cost
        self._absent = np.minimum(absent, np.maximum(0, queries.max_types - own))
        self._each = absent_cost / np.maximum(1, absent)
        self.least: list[int] = (self._fixed + self._words + self._answer).tolist()
        self.answers: list[int] = self._answer[self._answer > 0].tolist()

    def __call__(self, rows: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the tokens of uses of rows, int ``[uses]``."""
        rate, few = self.queries.full_list_rate, self.queries.few_negatives + 1
        absent, answer = self._absent[rows], self._answer[rows]
        negatives = np.minimum(absent, (fraction(seeds, 1) * few).astype(np.int64))
        asked = np.where(fraction(seeds, 0) < rate, absent, negatives)
        prompt = np.minimum(
            self.max_length, self._fixed[rows] + np.rint(asked * self._each[rows]).astype(np.int64)
        )
        whole = (answer > 0) & (answer <= self.canvas_length)
        canvas = np.minimum(self.canvas_length, np.maximum(answer, _rooms(self.answers, seeds)))
        return prompt + self._words[rows] + np.where(whole, canvas, 0)

    def _measure(self, rows: Dataset) -> Iterator[tuple[int, ...]]:
        """Yield each row's text tokens, words, answer, own types, their cost, other types and their cost.

        The answer has a padding token behind it, and is 0 where it is not whole.
        """
        given = set(rows.column_names)
        for at in range(0, len(rows), BATCH):
            part = rows[at : at + BATCH]
            blank: list[Any] = [None] * len(part["text"])
            columns = (
                part[n] if n in given else blank for n in ("types", "source", "negatives", "exhaustive")
            )
            answers = [
                render_completion((entity["type"], entity["text"].strip()) for entity in entities)
                for entities in part["entities"]
            ]
            ids, told = self._encoder.token_ids(part["text"]), self._encoder.token_ids(answers)
            for text, entities, own_ids, answer, types, source, negatives, exhaustive in zip(
                part["text"], part["entities"], ids, told, *columns, strict=True
            ):
                own, own_cost = self._costs({entity["type"] for entity in entities})
                count, cost = self._lists.get(source, (0, 0)) if negatives == "closed" else (0, 0)
                if types:
                    count, cost = self._costs(types)
                yield (
                    len(own_ids),
                    len(split_words(text)),
                    0 if exhaustive is False else len(answer) + 1,
                    own,
                    own_cost,
                    max(0, count - own),
                    max(0, cost - own_cost),
                )

    def _costs(self, names: Sequence[str] | set[str]) -> tuple[int, int]:
        return len(names), sum(self._encoder.type_cost(name) for name in names)


class CompletionLengths:
    """Prompt and canvas of each prompt/completion row, in tokens.

    ``least`` has each prompt's tokens, and ``answers`` those of the completions, a padding token behind each.

    Args:
        rows: with ``prompt`` and ``completion`` strings.
        tokenizer: of the model.
        canvas_length: the most tokens of a completion canvas.
    """

    def __init__(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, canvas_length: int) -> None:
        self.canvas_length = canvas_length
        self.least = _token_counts(tokenizer, rows["prompt"])
        self.answers = [count + 1 for count in _token_counts(tokenizer, rows["completion"])]

    def __call__(self, rows: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the tokens of uses of rows, int ``[uses]``."""
        answers = np.maximum(np.asarray(self.answers)[rows], _rooms(self.answers, seeds))
        return np.asarray(self.least)[rows] + np.minimum(self.canvas_length, answers)


def _rooms(answers: Sequence[int], seeds: np.ndarray) -> np.ndarray:
    """Return ``room(answers, seed)`` of each seed."""
    if not answers:
        return np.zeros_like(seeds)
    return np.asarray(answers)[(fraction(seeds, 2) * len(answers)).astype(np.int64)]


def _askable(inventory: Inventory) -> set[str]:
    return {*inventory.types, *inventory.coarse.values()}


def _token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    counts: list[int] = []
    for at in range(0, len(texts), BATCH):
        encoded = tokenizer(
            list(texts[at : at + BATCH]),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        counts += [len(ids) for ids in encoded["input_ids"]]
    return counts
