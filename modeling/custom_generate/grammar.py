"""Grounded completions: only queried types and contiguous spans of this text can be written.

A completion is a path through a small automaton: the tokens of a type, a colon, the tokens of words that
follow one another in the text, a bar, the next type ..., then padding; or ``none``. At every step of the
loop the canvas distribution is projected onto the most probable path (Viterbi 1967, exact), with the
slots already revealed held fixed, so a finished canvas always reads as a valid answer.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch

COLON, BAR, PAD = 0, 1, 2  # the first three states of every automaton
NEVER = float("-inf")
NOTHING = -1
# The tensors of a grammar that have one entry a row.
_TABLES = ("candidates", "_column", "_before", "_exists", "_starts", "_ends_type", "_ends_span", "_ends_none")


@dataclass(frozen=True)
class Symbols:
    """Token ids of the format's own signs; ``none`` may take several tokens."""

    colon: int
    bar: int
    none: tuple[int, ...]
    pad: int


@dataclass(frozen=True)
class Entry:
    """One entity of a grounded completion.

    ``type`` is the number of the queried type, ``first_word`` .. ``last_word`` (inclusive) the words of the
    span, ``slots`` the half-open range of canvas slots that spell it.
    """

    type: int
    first_word: int
    last_word: int
    slots: tuple[int, int]


class Automaton:
    """The valid completions of one prompt.

    Args:
        types: the tokens of each queried type, as they stand behind the start or a bar.
        word_starts: the tokens of each word as the first of a span.
        word_continues: the tokens of each word as they follow the word before it, with what lies between.
        symbols: the format's own signs.

    A state is one token in one place. ``tokens`` and ``before`` (three possible predecessors a state, -1
    for none) describe the ordinary moves; COLON, BAR and PAD can follow many states, marked by
    ``ends_type`` and ``ends_span``. ``starts`` marks where a canvas can begin.
    """

    def __init__(
        self,
        types: Sequence[Sequence[int]],
        word_starts: Sequence[Sequence[int]],
        word_continues: Sequence[Sequence[int]],
        symbols: Symbols,
    ) -> None:
        self.tokens = [symbols.colon, symbols.bar, symbols.pad]
        self.before: list[list[int]] = [[NOTHING] * 3 for _ in range(3)]
        self.type_of = [NOTHING] * 3
        self.word_of = [NOTHING] * 3
        self.ends_type: list[int] = []
        self.ends_span: list[int] = []
        self.ends_none: list[int] = []
        self.starts: list[int] = []
        for number, tokens in enumerate(types):
            first, last = self._chain(tokens, [BAR], type_number=number)
            self.starts.append(first)
            self.ends_type.append(last)
        first, last = self._chain(symbols.none, [])
        self.starts.append(first)
        self.ends_none.append(last)
        previous: list[int] = []
        for number, (start, cont) in enumerate(zip(word_starts, word_continues, strict=True)):
            if not start or not cont:  # the tokenizer drops this word: no span reaches across it
                previous = []
                continue
            if list(start) == list(cont) or not previous:
                _, last = self._chain(start, [COLON, *previous], word=number)
                previous = [last]
            else:
                _, opening = self._chain(start, [COLON], word=number)
                _, following = self._chain(cont, previous, word=number)
                previous = [opening, following]
            self.ends_span += previous

    def __len__(self) -> int:
        return len(self.tokens)

    def _chain(
        self, tokens: Sequence[int], before: list[int], type_number: int = NOTHING, word: int = NOTHING
    ) -> tuple[int, int]:
        first = len(self.tokens)
        for offset, token in enumerate(tokens):
            self.tokens.append(token)
            sources = before if offset == 0 else [len(self.tokens) - 2]
            self.before.append((sources + [NOTHING] * 3)[:3])
            self.type_of.append(type_number)
            self.word_of.append(word)
        return first, len(self.tokens) - 1

    def read(self, path: Sequence[int]) -> list[Entry]:
        """Return the entities that a path of states spells, in the order written."""
        entries: list[Entry] = []
        kind, begin = NOTHING, 0
        words: list[int] = []
        for slot, state in enumerate([*path, PAD]):
            if state in (BAR, PAD):
                if words and kind != NOTHING:
                    entries.append(Entry(kind, words[0], words[-1], (begin, slot)))
                kind, words = NOTHING, []
            elif state != COLON and self.type_of[state] != NOTHING:
                if kind == NOTHING:
                    begin = slot
                kind = self.type_of[state]
            elif state != COLON and self.word_of[state] != NOTHING:
                words.append(self.word_of[state])
        return entries


class Grammar:
    """The automata of a batch, and the projection onto them.

    ``candidates`` are the token ids of each row's automaton, int ``[batch, candidates]``, ascending,
    padded with -1.
    """

    def __init__(self, automata: Sequence[Automaton], device: torch.device | str = "cpu") -> None:
        self.automata = list(automata)
        count, most = len(self.automata), max(len(a) for a in self.automata)
        vocabularies = [sorted(set(a.tokens)) for a in self.automata]
        widest = max(len(v) for v in vocabularies)
        candidates = torch.full((count, widest), -1)
        column = torch.zeros(count, most, dtype=torch.long)
        before = torch.full((count, most, 3), most)  # the extra state stands for "nothing": never reached
        flags = torch.zeros(4, count, most, dtype=torch.bool)
        for i, (automaton, vocabulary) in enumerate(zip(self.automata, vocabularies, strict=True)):
            size = len(automaton)
            candidates[i, : len(vocabulary)] = torch.tensor(vocabulary)
            index = {token: n for n, token in enumerate(vocabulary)}
            column[i, :size] = torch.tensor([index[token] for token in automaton.tokens])
            links = torch.tensor(automaton.before)
            before[i, :size] = torch.where(links < 0, most, links)
            groups = (automaton.starts, automaton.ends_type, automaton.ends_span, automaton.ends_none)
            for flag, states in zip(flags, groups, strict=True):
                flag[i, states] = True
        self.candidates = candidates.to(device)
        self._column = column.to(device)
        self._before = before.to(device)
        self._starts, self._ends_type, self._ends_span, self._ends_none = flags.to(device)
        self._exists = torch.arange(most, device=device)[None] < torch.tensor(
            [[len(a)] for a in self.automata], device=device
        )

    def select(self, rows: torch.Tensor) -> "Grammar":
        """Return the grammar of some rows of the batch, an index ``[rows]`` (one may come several times)."""
        chosen = copy(self)
        chosen.automata = [self.automata[row] for row in rows.tolist()]
        for name in _TABLES:
            setattr(chosen, name, getattr(self, name)[rows])
        return chosen

    def project(
        self, log_probs: torch.Tensor, known: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the most probable valid canvas.

        Args:
            log_probs: over ``candidates``, ``[batch, slots, candidates]``.
            known: the candidate number of revealed slots, -1 where open, ``[batch, slots]``.
            lengths: how many slots each row has, ``[batch]``; those behind it come back as padding.

        Returns:
            Candidate numbers and automaton states, both ``[batch, slots]``.
        """
        slots = log_probs.shape[1]
        emit = log_probs.gather(2, self._column[:, None].expand(-1, slots, -1))
        wanted = known[..., None]
        emit = torch.where(wanted >= 0, torch.where(self._column[:, None] == wanted, 0.0, NEVER), emit)
        emit = emit.masked_fill(~self._exists[:, None], NEVER)
        # Behind a row's last slot only padding stands, for free.
        beyond = torch.arange(slots, device=emit.device)[None] >= lengths[:, None]
        free = torch.full_like(emit[:, :1], NEVER)
        free[..., PAD] = 0.0
        emit = torch.where(beyond[..., None], free, emit)

        score = emit[:, 0].masked_fill(~self._starts, NEVER)
        # A canvas of no slots at all is all padding.
        score = torch.where(beyond[:, :1], free[:, 0], score)
        back = []
        for slot in range(1, slots):
            reached, pointer = self._advance(score)
            back.append(pointer)
            score = reached + emit[:, slot]
        final = self._ends_span | self._ends_none
        final[:, PAD] = True
        state = score.masked_fill(~final, NEVER).argmax(-1)
        states = [state]
        for pointer in reversed(back):
            state = pointer.gather(1, state[:, None])[:, 0]
            states.append(state)
        path = torch.stack(states[::-1], dim=1)
        return self._column.gather(1, path), path

    def _advance(self, score: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the best score with which each state is entered, and from which state."""
        batch, most = score.shape
        padded = torch.cat([score, score.new_full((batch, 1), NEVER)], dim=1)
        options = padded.gather(1, self._before.flatten(1)).view(batch, most, 3)
        reached, choice = options.max(-1)
        pointer = self._before.gather(2, choice[..., None])[..., 0].clamp(max=most - 1)
        for state, sources in (
            (COLON, self._ends_type),
            (BAR, self._ends_span),
            (PAD, self._ends_span | self._ends_none),
        ):
            allowed = score.masked_fill(~sources, NEVER)
            if state == PAD:
                allowed[:, PAD] = score[:, PAD]
            best, origin = allowed.max(-1)
            reached[:, state], pointer[:, state] = best, origin
        return reached, pointer
