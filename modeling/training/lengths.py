"""How long rows are in tokens, told before they are collated: rows of like length share a batch."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ..canvas.encoding import PromptEncoder
from ..canvas.template import render_completion
from .queries import Inventory, QuerySampler, has_levels, names_of
from .sampler import fraction

BATCH = 1000  # rows that are read and tokenized together
ALONE_ANSWER = 8  # tokens of an answer to one type alone: half of them are "none"


class EntityLengths:
    """Prompt and both canvases of each row, in tokens.

    Batches of rows of like length hold little padding. What a use of a row takes depends on how many types
    are asked for and on the length of its completion canvas; both follow from the seed of the use
    (``QuerySampler.extent``, ``drawn_canvas_length``), so they are known before the row is read. Which types
    are asked for is not: absent ones count as the mean of those that could be, and present ones as if all
    were asked for, or, where they have levels, as often as the sampler asks for them.

    ``least`` has each row's tokens if nothing absent is asked for, and ``answers`` those of the rows' whole
    answers, one padding token behind each.

    Args:
        rows: entity rows.
        encoder: of the model's prompts.
        queries: which will draw the queries.
        max_length: the most tokens of a prompt.
        canvas_length: the most tokens of a completion.
        workers: processes that measure the rows; 0: this one alone.
    """

    def __init__(
        self,
        rows: Dataset,
        encoder: PromptEncoder,
        queries: QuerySampler,
        max_length: int,
        canvas_length: int,
        workers: int = 0,
    ) -> None:
        self.queries, self.max_length, self.canvas_length = queries, max_length, canvas_length
        self._encoder = encoder
        frame = len(encoder.encode(["x"], "x")) - encoder.type_cost("x") - 1
        self._lists = {name: self._costs(_askable(own)) for name, own in queries.inventories.items()}
        measured = self._measured(rows, workers)
        text, self._words, self._answer, own, own_cost, absent, absent_cost, leveled = measured.T
        self._bare = frame + text
        self._fixed = frame + text + own_cost
        self._absent = np.minimum(absent, np.maximum(0, queries.max_types - own))
        self._each = absent_cost / np.maximum(1, absent)
        self._leveled = leveled.astype(bool)
        self.least: list[int] = (self._fixed + self._words + self._answer).tolist()
        self.answers: list[int] = self._answer[self._answer > 0].tolist()

    def __call__(self, rows: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the tokens of uses of rows, int ``[uses]``."""
        rate, few = self.queries.full_list_rate, self.queries.few_negatives + 1
        least, most = self.queries.many_negatives
        absent, answer, leveled = self._absent[rows], self._answer[rows], self._leveled[rows]
        draw, share = fraction(seeds, 0), fraction(seeds, 1)
        full_list = draw < rate
        alone = leveled & ~full_list & (draw >= 1 - self.queries.alone_rate)
        many = np.where(leveled, least + (share * (most + 1 - least)).astype(np.int64), absent)
        asked = np.minimum(absent, np.where(full_list, many, (share * few).astype(np.int64)))
        each = self._each[rows]
        types = np.rint(asked * each).astype(np.int64)
        fixed = np.where(alone, self._bare[rows] + np.rint(each).astype(np.int64), self._fixed[rows] + types)
        prompt = np.minimum(self.max_length, fixed)
        # With levels, answer and names are estimates: a row told too long costs less than one too short.
        longest = np.where(leveled, self.canvas_length * 5 // 4, self.canvas_length)
        whole = (answer > 0) & (answer <= longest)
        told = np.where(alone, ALONE_ANSWER, answer)
        canvas = np.minimum(self.canvas_length, np.maximum(told, _canvas_lengths(self.answers, seeds)))
        return prompt + self._words[rows] + np.where(whole | alone & (answer > 0), canvas, 0)

    def _measured(self, rows: Dataset, workers: int) -> np.ndarray:
        """Return what ``_measure`` tells of all rows, int ``[rows, 8]``."""
        starts = range(0, len(rows), BATCH)
        if workers and len(starts) > workers and "fork" in multiprocessing.get_all_start_methods():
            # Forked processes share the rows; what they are to measure must be known before they are made.
            _measuring.append((self, rows))
            try:
                with multiprocessing.get_context("fork").Pool(workers, _one_thread_of_tokenizers) as pool:
                    parts = pool.map(_measured_part, starts, chunksize=4)
            finally:
                _measuring.pop()
        else:
            parts = [list(self._measure(rows, at)) for at in starts]
        table = [row for part in parts for row in part]
        return np.array(table, dtype=np.int64).reshape(len(rows), 8)

    def _measure(self, rows: Dataset, at: int) -> Iterator[tuple[int, ...]]:
        """Yield what is known of each row of a part before it is asked.

        That is its text tokens, words, answer (a padding token behind it; 0 where it is not whole), own
        types, their cost, other types, their cost, and whether its entities have levels.
        """
        given = set(rows.column_names)
        part = rows[at : at + BATCH]
        blank: list[Any] = [None] * len(part["text"])
        columns = [part[n] if n in given else blank for n in ("types", "source", "negatives", "exhaustive")]
        answers = [
            render_completion((_middle_name(entity), entity["text"].strip()) for entity in entities)
            for entities in part["entities"]
        ]
        # Once for all, so that the loop below finds them remembered.
        self._encoder.type_costs(
            [name for own in part["entities"] for entity in own for name in names_of(entity)]
            + [name for own in columns[0] for name in own or ()]
        )
        sizes, told = self._encoder.text_sizes(part["text"]), self._encoder.token_ids(answers)
        for (tokens, words), entities, answer, types, source, negatives, exhaustive in zip(
            sizes, part["entities"], told, *columns, strict=True
        ):
            leveled = has_levels({"entities": entities})
            if leveled:
                chances = self.queries.levels.chances(entities)
                own = round(sum(chances.values()))
                costs = self._encoder.type_costs(list(chances))
                own_cost = round(sum(c * n for c, n in zip(chances.values(), costs, strict=True)))
                count, cost = self._lists.get(source, (0, 0)) if negatives == "closed" else (0, 0)
                if types:
                    count, cost = self._costs(types)
                whole = 0 if exhaustive is False else len(answer) + 1
                yield tokens, words, whole, own, own_cost, count, cost, 1
                continue
            own, own_cost = self._costs({entity["type"] for entity in entities})
            count, cost = self._lists.get(source, (0, 0)) if negatives == "closed" else (0, 0)
            if types:
                count, cost = self._costs(types)
            yield (
                tokens,
                words,
                0 if exhaustive is False else len(answer) + 1,
                own,
                own_cost,
                max(0, count - own),
                max(0, cost - own_cost),
                0,
            )

    def _costs(self, names: Sequence[str] | set[str]) -> tuple[int, int]:
        return len(names), sum(self._encoder.type_costs(list(names)))


_measuring: list[tuple[EntityLengths, Dataset]] = []


def _measured_part(at: int) -> list[tuple[int, ...]]:
    lengths, rows = _measuring[-1]
    return list(lengths._measure(rows, at))


def _one_thread_of_tokenizers() -> None:
    # Threads with which the parent tokenized do not exist in a forked process.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


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
        answers = np.maximum(np.asarray(self.answers)[rows], _canvas_lengths(self.answers, seeds))
        return np.asarray(self.least)[rows] + np.minimum(self.canvas_length, answers)


def _canvas_lengths(answers: Sequence[int], seeds: np.ndarray) -> np.ndarray:
    """Return ``drawn_canvas_length(answers, seed)`` of each seed."""
    if not answers:
        return np.zeros_like(seeds)
    return np.asarray(answers)[(fraction(seeds, 2) * len(answers)).astype(np.int64)]


def _middle_name(entity: Mapping[str, Any]) -> str:
    """Return a type name of middling length: that of the middle level, if there are levels."""
    levels = names_of(entity)
    return str(levels[len(levels) // 2] if levels else entity["type"])


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
