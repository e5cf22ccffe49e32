"""Absent types: against a slow reading of the rules."""

import random
from math import sqrt

import pytest

from dataset_builder.open_types.absent import AbsentTypes
from dataset_builder.open_types.passage import OpenMention, Passage

WORDS = ("river", "town", "physicist", "painter", "scientist", "artist", "person", "place", "water", "prize")
NAMES = (*WORDS, "river town", "water painter", "art prize", "prize winner", "body of water")


def passages(seed: int, count: int = 30) -> list[Passage]:
    """Passages whose mentions are single letters, so that the same words occur with different types."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        text = " ".join(draw.choices("abcdefghijklmnopqrst", k=6))
        mentions = tuple(
            OpenMention(place, place + 1, tuple(draw.sample(NAMES, draw.choice((1, 2, 2, 3)))))
            for place in range(0, len(text), 2)
            if draw.random() < 0.3
        )
        made.append(Passage(f"p-{number}", "p", text, mentions))
    return made


def forbidden(passage: Passage, data: list[Passage]) -> set[str]:
    """What may not be drawn, type by type and mention by mention."""
    found = set()
    for name in NAMES:
        for mention in passage.mentions:
            finest, words = mention.types[0], passage.text[mention.start : mention.end]
            if name in mention.types or set(name.split()) & set(finest.split()):
                found.add(name)
            for other in data:
                for theirs in other.mentions:
                    beside = finest in theirs.types
                    same = other.text[theirs.start : theirs.end] == words
                    if name in theirs.types and (beside or same):
                        found.add(name)
    return found


@pytest.mark.parametrize("seed", range(10))
def test_no_absent_type_is_a_possible_synonym(seed: int) -> None:
    data = passages(seed)
    absent = AbsentTypes(data)
    for passage in data:
        assert absent.blocked(passage) & set(NAMES) == forbidden(passage, data)
        drawn = absent.sample(passage, passage.id)
        assert set(drawn).isdisjoint(forbidden(passage, data))
        assert drawn == sorted(set(drawn))
        assert drawn == absent.sample(passage, passage.id)


def family(count: int) -> list[Passage]:
    """One present physicist, and ``count`` other kinds of scientist, each used twice."""
    kinds = [f"kind{number}" for number in range(count)]
    made = [Passage("0", "p", "Ann", (OpenMention(0, 3, ("physicist", "scientist")),))]
    for number, name in enumerate(kinds * 2):
        types = (name, "scientist") if number < count else (name,)
        made.append(Passage(f"k{number}", "p", f"x{number}", (OpenMention(0, 2, types),)))
    made.append(Passage("once", "p", "once", (OpenMention(0, 4, ("rare", "scientist")),)))
    made.append(Passage("far", "p", "Oslo", (OpenMention(0, 4, ("town",)),)))
    return made


def test_hard_types_are_children_of_the_coarser_ones_that_occur_more_than_once() -> None:
    data = family(30)
    drawn = AbsentTypes(data).sample(data[0], "seed", count=16, hard=16)
    assert len(drawn) == 16
    assert all(name.startswith("kind") for name in drawn)
    # With room for others, far and rare ones come too; of the present ones none.
    every = AbsentTypes(data).sample(data[0], "seed", count=100, hard=16)
    assert set(every) == {f"kind{number}" for number in range(30)} | {"town", "rare"}


def test_the_others_are_drawn_by_the_square_root_of_their_frequency() -> None:
    data = [Passage("e", "p", "nothing", ())]
    for name, count in (("often", 900), ("seldom", 100)):
        data += [
            Passage(f"{name}{number}", "p", f"{name} {number}", (OpenMention(0, 3, (name,)),))
            for number in range(count)
        ]
    absent = AbsentTypes(data)
    first = [absent.sample(data[0], str(number), count=1)[0] for number in range(2000)]
    expected = sqrt(900) / (sqrt(900) + sqrt(100))
    assert abs(first.count("often") / len(first) - expected) < 0.03


def test_no_data_gives_no_types() -> None:
    assert AbsentTypes([]).sample(Passage("e", "p", "text", ()), "seed") == []
