"""Rows to training batches: prompts, their canvases and the padding between them.

Both collators return a flat dictionary of tensors that ``TrainingBatch.from_tensors`` reads:
``prompt_{ids,mask,positions,token_types,sources,markers}`` (and ``prompt_blocks`` where the types are
blocks), per canvas ``{kind}_{ids,mask,positions}``,
``aligned_word_ids``, ``aligned_scored``, ``type_counts``, and ``labels`` (all canvas targets, -100
elsewhere), by which the Trainer counts the tokens that the loss is divided by.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from ..canvas.encoding import EncodedPrompt, PromptEncoder
from ..canvas.template import Mention, render_mentions
from ..canvas.tensors import aligned_tensors, completion_tensors, existing, pad, prompt_tensors
from ..custom_generate.settings import DiffusionSettings
from .queries import Query, QuerySampler
from .sampler import fraction, seeds_of

IGNORE = -100


def drawn_canvas_length(answers: Sequence[int], seed: int) -> int:
    """Return the canvas length that the use of a row with this seed gets: that of another answer.

    So the network learns from canvases of all lengths that an answer ends where it ends, and the padding
    does not drown it. A longer answer takes its own length. 0 if there are no ``answers``.
    """
    return answers[int(fraction(seed, 2) * len(answers))] if answers else 0


def labels(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return all canvas targets side by side, -100 where there is no slot."""
    kinds = [kind for kind in ("completion", "aligned") if f"{kind}_ids" in batch]
    counted = {k: batch.get(f"{k}_scored", batch[f"{k}_mask"]) for k in kinds}
    return torch.cat([batch[f"{k}_ids"].masked_fill(~counted[k], IGNORE) for k in kinds], dim=1)


@dataclass
class CompletionCollator:
    """Rows with ``prompt`` and ``completion`` strings (trl's format) to completion canvases.

    Args:
        tokenizer: of the model.
        settings: its diffusion settings.
        max_length: the most that prompt and canvas may take, in tokens.
        canvas_length: the length of the canvas; behind the answer it is padded with ``pad_token_id``.
        truncate: cut the padding to the length of another answer (see
            ``drawn_canvas_length``).
        answer_lengths: of the training set's answers with one padding token each, to draw that length from;
            default those of the batch.

    Raises:
        ValueError: a row is too long, with its length and what to do.
    """

    tokenizer: PreTrainedTokenizerBase
    settings: DiffusionSettings
    max_length: int = 512
    canvas_length: int = 128
    truncate: bool = True
    answer_lengths: Sequence[int] = ()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        seeds = seeds_of(rows)
        prompts = self._ids([row["prompt"] for row in rows])
        answers = self._ids([row["completion"] for row in rows])
        end = self.settings.pad_token_id
        lengths = []
        for row, prompt, answer in zip(rows, prompts, answers, strict=True):
            # One padding token at least: the network must see where an answer ends.
            if len(answer) + 1 > self.canvas_length or len(prompt) + len(answer) + 1 > self.max_length:
                raise ValueError(
                    f"row {row.get('id', '?')!r}: prompt of {len(prompt)} and completion of {len(answer)} "
                    f"tokens do not fit max_length={self.max_length} and canvas_length={self.canvas_length}; "
                    "cut the passage into windows (python -m dataset_builder.build does) or raise the limits"
                )
            lengths.append(len(answer) + 1)
        canvases = [self.canvas_length] * len(rows)
        if self.truncate:
            pool = self.answer_lengths or lengths
            canvases = [
                min(self.canvas_length, max(own, drawn_canvas_length(pool, s)))
                for own, s in zip(lengths, seeds, strict=True)
            ]
        canvases = [min(n, self.max_length - len(p)) for n, p in zip(canvases, prompts, strict=True)]
        batch = {
            "prompt_ids": pad(prompts, end),
            "prompt_mask": existing([len(p) for p in prompts]).long(),
            "prompt_positions": pad([range(len(p)) for p in prompts], 0),
            "completion_ids": pad(
                [a + [end] * (n - len(a)) for a, n in zip(answers, canvases, strict=True)], end
            ),
            **completion_tensors(canvases, [len(p) for p in prompts]),
        }
        batch["labels"] = labels(batch)
        return batch

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]


@dataclass
class EntityCollator:
    """Rows with ``text`` and ``entities`` to both canvases, the queried types drawn anew each time.

    Args:
        encoder: of the model's prompts.
        queries: draws the types to ask for, and the text's variant.
        max_length: the most that a prompt may take, in tokens; a longer text loses its last words.
        canvas_length: the most that a completion may take; a longer answer trains the aligned canvas alone.
        answer_lengths: of the training set's answers with one padding token each: a completion canvas has
            the length of one of them, or of its own answer if that is longer; default always the latter.
    """

    encoder: PromptEncoder
    queries: QuerySampler
    max_length: int = 384
    canvas_length: int = 96
    answer_lengths: Sequence[int] = ()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        seeds = seeds_of(rows)
        asked = [
            self.queries(row, random.Random(seed), self.queries.extent(seed))
            for row, seed in zip(rows, seeds, strict=True)
        ]
        prompts = self.encoder.encode_batch([(query.types, query.text) for query in asked])
        settings = self.encoder.settings
        tags, scored = [], []
        answers: list[str | None] = []
        for i, query in enumerate(asked):
            if len(prompts[i]) > self.max_length:
                query = asked[i] = _shorten(query, prompts[i], self.max_length)
                prompts[i] = self.encoder.encode(query.types, query.text)
            tags.append(tag_ids(prompts[i], query.mentions, settings))
            scored.append(scored_slots(tags[-1], query.exhaustive, settings.outside_token_id))
            answers.append(render_mentions(query.mentions, query.types) if query.exhaustive else None)
        batch = {**prompt_tensors(prompts, settings.pad_token_id), **aligned_tensors(prompts)}
        batch["aligned_ids"] = pad(tags, settings.outside_token_id)
        batch["aligned_scored"] = pad(scored, 0).bool()
        drawn = [drawn_canvas_length(self.answer_lengths, seed) for seed in seeds]
        batch.update(self._completion(prompts, answers, drawn))
        batch["type_counts"] = torch.tensor([len(query.types) for query in asked])
        batch["labels"] = labels(batch)
        return batch

    def _completion(
        self, prompts: list[EncodedPrompt], answers: list[str | None], drawn: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        ids = self.encoder.token_ids([answer or "" for answer in answers])
        lengths = [len(answer) + 1 for answer in ids]
        canvases = [min(self.canvas_length, max(pair)) for pair in zip(lengths, drawn, strict=True)]
        # An incomplete answer, or one too long, has no canvas: a part of an answer would teach to stop early.
        usable = [a is not None and own <= n for a, own, n in zip(answers, lengths, canvases, strict=True)]
        canvases = [n if keep else 0 for n, keep in zip(canvases, usable, strict=True)]
        end = self.encoder.settings.pad_token_id
        rows = [answer[:n] + [end] * (n - len(answer)) for answer, n in zip(ids, canvases, strict=True)]
        starts = [p.end_position for p in prompts]
        return {"completion_ids": pad(rows, end), **completion_tensors(canvases, starts)}


def tag_ids(prompt: EncodedPrompt, mentions: Sequence[Mention], settings: DiffusionSettings) -> list[int]:
    """Return the aligned canvas of these mentions, one symbol a word: marker, then I; O elsewhere.

    A mention that begins or ends inside a word takes the whole word. Where mentions overlap, the longer
    one wins, then the earlier one.
    """
    marker = dict(zip(prompt.types, settings.marker_ids(len(prompt.types)), strict=True))
    tags = [settings.outside_token_id] * len(prompt.words)
    taken = [False] * len(tags)
    for mention in sorted(mentions, key=lambda m: (m.start - m.end, m.start, m.type)):
        inside = [i for i, (s, e) in enumerate(prompt.words) if s < mention.end and e > mention.start]
        if inside and not any(taken[i] for i in inside):
            for i in inside:
                tags[i] = settings.inside_token_id
                taken[i] = True
            tags[inside[0]] = marker[mention.type]
    return tags


def scored_slots(tags: Sequence[int], exhaustive: bool, outside: int) -> list[int]:
    """Return 1 for each slot the loss counts: all, or the mentions and the words right beside them.

    Where not every mention is annotated, only the words at a mention's edge are known to be outside.
    """
    if exhaustive:
        return [1] * len(tags)
    inside = [tag != outside for tag in tags]
    return [int(any(inside[max(0, i - 1) : i + 2])) for i in range(len(tags))]


def _shorten(query: Query, prompt: EncodedPrompt, max_length: int) -> Query:
    """Cut the text behind the last word that fits; mentions that reach past it go."""
    fits = [
        i for i, at in enumerate(prompt.word_positions) if at + len(prompt) - prompt.text_span[1] < max_length
    ]
    end = prompt.words[fits[-1]][0] if fits else 0
    kept = tuple(m for m in query.mentions if m.end <= end)
    return Query(query.types, query.text[:end].rstrip(), kept, query.exhaustive)
