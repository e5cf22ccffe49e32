"""Grounded completions against enumeration of everything that may be written."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.custom_generate.grammar import Automaton, Entry, Grammar, Symbols

COLON, BAR, NONE, PAD = 1, 2, 3, 0
SYMBOLS = Symbols(colon=COLON, bar=BAR, none=(NONE,), pad=PAD)
Words = list[list[int]]
OPEN = torch.tensor([[-1]])


def strings(
    types: Words, starts: Words, continues: Words, slots: int, none: tuple[int, ...] = (NONE,)
) -> set:
    """Return every valid canvas of this many slots."""
    pieces = []
    for name, first in itertools.product(types, range(len(starts))):
        tail: list[int] = []
        for last in range(first, len(starts)):
            if not starts[last] or not continues[last]:  # no span reaches over a word without tokens
                break
            tail = tail + continues[last] if last > first else list(starts[first])
            pieces.append([*name, COLON, *tail])
    found = set()
    if len(none) <= slots:
        found.add((*none, *[PAD] * (slots - len(none))))

    def extend(written: list[int]) -> None:
        if written:
            found.add((*written, *[PAD] * (slots - len(written))))
        for piece in pieces:
            longer = [*written, *([BAR] if written else []), *piece]
            if len(longer) <= slots:
                extend(longer)

    extend([])
    return found


def scored(log_probs: torch.Tensor, candidates: torch.Tensor, string: tuple[int, ...]) -> float:
    column = {token: i for i, token in enumerate(candidates.tolist()) if token >= 0}
    return sum(float(log_probs[i, column[token]]) for i, token in enumerate(string))


def written(grammar: Grammar, choice: torch.Tensor, row: int) -> list[int]:
    return grammar.candidates[row][choice[row]].tolist()


# Words that look alike, words of several tokens, words that read otherwise inside a span.
VOCABULARIES: list[tuple[Words, Words, Words]] = [
    ([[10]], [[20], [21]], [[20], [21]]),
    ([[10], [11, 12]], [[20], [21, 22], [20]], [[20], [21, 22], [20]]),
    ([[10], [10, 11]], [[20], [21, 22], [20]], [[20], [30, 22], [31]]),
    # A word that reads as a type, one that reads as a bar, one that the tokenizer drops.
    ([[10]], [[10], [BAR], [20]], [[10], [BAR], [20]]),
    ([[10]], [[20], [], [21]], [[20], [], [21]]),
]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("slots", [1, 4, 7])
def test_the_projection_is_the_best_of_all_valid_canvases(vocabulary, slots):
    everything = strings(*vocabulary, slots)
    grammar = Grammar([Automaton(*vocabulary, SYMBOLS)])
    for _ in range(10):
        log_probs = torch.randn(1, slots, grammar.candidates.shape[1]).mul(2).log_softmax(-1)
        choice, _ = grammar.project(log_probs, OPEN.expand(1, slots), torch.tensor([slots]))
        best = max(scored(log_probs[0], grammar.candidates[0], s) for s in everything)
        got = tuple(written(grammar, choice, 0))
        assert got in everything
        assert scored(log_probs[0], grammar.candidates[0], got) == pytest.approx(best, abs=1e-5)


def test_rows_of_unlike_length_and_words_do_not_disturb_each_other():
    vocabularies, lengths = VOCABULARIES[:3], [7, 4, 2]
    automata = [Automaton(*v, SYMBOLS) for v in vocabularies]
    grammar = Grammar(automata)
    for _ in range(10):
        log_probs = torch.randn(3, 7, grammar.candidates.shape[1]).mul(2).log_softmax(-1)
        choice, _ = grammar.project(log_probs, OPEN.expand(3, 7), torch.tensor(lengths))
        for row, (automaton, length) in enumerate(zip(automata, lengths, strict=True)):
            alone = Grammar([automaton])
            width = alone.candidates.shape[1]
            own, _ = alone.project(
                log_probs[row : row + 1, :length, :width], OPEN.expand(1, length), torch.tensor([length])
            )
            line = written(grammar, choice, row)
            assert line[:length] == written(alone, own, 0)
            assert line[length:] == [PAD] * (7 - length)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_revealed_slots_stay_and_the_rest_is_the_best_around_them(vocabulary):
    everything = strings(*vocabulary, 6)
    grammar = Grammar([Automaton(*vocabulary, SYMBOLS)])
    width = grammar.candidates.shape[1]
    for _ in range(10):
        first, _ = grammar.project(torch.randn(1, 6, width), OPEN.expand(1, 6), torch.tensor([6]))
        known = torch.where(torch.rand(1, 6) < 0.5, first, -1)
        log_probs = torch.randn(1, 6, width).log_softmax(-1)
        choice, _ = grammar.project(log_probs, known, torch.tensor([6]))
        revealed = known >= 0
        assert torch.equal(choice[revealed], first[revealed])
        fixed = {i: int(grammar.candidates[0, known[0, i]]) for i in range(6) if revealed[0, i]}
        fitting = [s for s in everything if all(s[i] == token for i, token in fixed.items())]
        free = log_probs[0].masked_fill(revealed[0][:, None], 0.0)
        best = max(scored(free, grammar.candidates[0], s) for s in fitting)
        got = tuple(written(grammar, choice, 0))
        assert got in fitting
        assert scored(free, grammar.candidates[0], got) == pytest.approx(best, abs=1e-5)


@given(st.integers(0, 2**31), st.integers(0, 4), st.booleans())
def test_a_path_reads_as_what_is_written(seed, which, wide):
    types, starts, continues = VOCABULARIES[which]
    generator = torch.Generator().manual_seed(seed)
    automaton = Automaton(types, starts, continues, SYMBOLS)
    grammar = Grammar([automaton])
    slots = 12 if wide else 5
    log_probs = torch.randn(1, slots, grammar.candidates.shape[1], generator=generator).mul(3)
    choice, path = grammar.project(log_probs, OPEN.expand(1, slots), torch.tensor([slots]))
    line = written(grammar, choice, 0)
    entries = automaton.read(path[0].tolist())
    rebuilt: list[int] = []
    for entry in entries:
        rebuilt += [BAR] if rebuilt else []
        assert entry.slots[0] == len(rebuilt)
        rebuilt += [*types[entry.type], COLON, *starts[entry.first_word]]
        rebuilt += [t for w in range(entry.first_word + 1, entry.last_word + 1) for t in continues[w]]
        assert entry.slots[1] == len(rebuilt)
    assert line == (rebuilt or [NONE]) + [PAD] * (slots - len(rebuilt or [NONE]))


def test_none_may_take_several_tokens():
    symbols = Symbols(COLON, BAR, (NONE, 4), PAD)
    grammar = Grammar([Automaton([[10]], [[20]], [[20]], symbols)])
    column = {token: i for i, token in enumerate(grammar.candidates[0].tolist())}
    log_probs = torch.zeros(1, 4, len(column))
    log_probs[:, :, column[4]] = 5.0
    choice, path = grammar.project(log_probs, OPEN.expand(1, 4), torch.tensor([4]))
    assert written(grammar, choice, 0) == [NONE, 4, PAD, PAD]
    assert grammar.automata[0].read(path[0].tolist()) == []


def test_reading_an_answer_cut_by_the_canvas():
    automaton = Automaton([[10]], [[20], [21]], [[20], [21]], SYMBOLS)
    grammar = Grammar([automaton])
    column = {token: i for i, token in enumerate(grammar.candidates[0].tolist())}
    log_probs = torch.full((1, 4, len(column)), -9.0)
    for slot, token in enumerate([10, COLON, 20, 21]):
        log_probs[0, slot, column[token]] = 0.0
    _, path = grammar.project(log_probs, OPEN.expand(1, 4), torch.tensor([4]))
    assert automaton.read(path[0].tolist()) == [Entry(0, 0, 1, (0, 4))]
