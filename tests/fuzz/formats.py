"""Targets without a network: the text format, words, JSON Lines, the metric."""

from __future__ import annotations

import json
import math
from typing import Any

from metric.entity_f1.entities import normalize_uniner
from metric.entity_f1.scorer import score_entities
from modeling.canvas.template import check_types, parse_completion, render_completion, render_prompt
from modeling.canvas.words import split_words, windows
from modeling.extraction.jsonlines import ANSWERED, read_rows, skip_answered, write_answer
from tests.fuzz.draws import Draws
from tests.fuzz.target import Target


def types(draws: Draws, most: int = 4) -> list[str]:
    """Return types that the library accepts."""
    names = draws.several(lambda: draws.text(3), most)
    usable = []
    for name in names:
        try:
            usable += check_types([name])
        except ValueError:
            continue
    return check_types([*usable, "person"])


def template(draws: Draws) -> None:
    """Render and parse."""
    asked = types(draws)
    spans = draws.several(lambda: (draws.choice(asked), draws.text(6).strip()), 4)
    entities = [(name, span) for name, span in spans if span]
    completion = render_completion(entities, asked)
    parsed = parse_completion(completion, asked)
    assert parsed.entities == entities, (completion, asked)
    assert parsed.violations == []
    assert parsed.segments == max(1, len(entities))
    written = [render_completion([entity], asked)[1:] for entity in entities]
    assert [completion[a:b] for a, b in parsed.ranges] == written


def parser(draws: Draws) -> None:
    """Parse anything."""
    asked = types(draws) if draws.chance() else []
    completion = draws.text(16)
    parsed = parse_completion(completion, asked)
    nothing = completion.strip().casefold() == "none"
    assert len(parsed.entities) + len(parsed.violations) + nothing == parsed.segments
    assert len(parsed.ranges) == len(parsed.entities)
    end = 0
    for (name, span), (start, stop) in zip(parsed.entities, parsed.ranges, strict=True):
        assert name in asked
        assert span == span.strip() != ""
        assert end <= start < stop <= len(completion)
        # Where no separator had to be escaped, the range ends with the span itself.
        assert completion[start:stop].replace("\\", "").endswith(span.replace("\\", ""))
        end = stop


def labels(draws: Draws) -> None:
    """Check any list as types."""
    given = draws.several(lambda: draws.text(5), 5)
    try:
        clean = check_types(given)
    except ValueError as refusal:
        str(refusal).encode()  # it can be printed
        return
    assert check_types(clean) == clean
    assert len({name.casefold() for name in clean}) == len(clean) > 0
    for name in clean:
        assert name == " ".join(name.split())
        assert name.isprintable()
        assert not set(name) & set(":|")
        name.encode()
    assert render_prompt(clean, "").count("\n") == 2


def words(draws: Draws) -> None:
    """Split and cut."""
    text = draws.text(24)
    found = split_words(text)
    end = 0
    for start, stop in found:
        assert end <= start < stop
        assert not text[start:stop].isspace()
        assert text[end:start].isspace() or not any(c.isalnum() for c in text[end:start])
        end = stop
    costs = [draws.integer(1, 5) for _ in found]
    budget, overlap = draws.integer(1, 12), draws.integer(0, 8)
    ranges = windows(text, found, costs, budget, overlap)
    covered = 0
    for first, last in ranges:
        assert first <= covered < last <= len(found)
        assert sum(costs[first:last]) <= budget or last == first + 1
        covered = last
    assert covered == len(found)


def jsonlines(draws: Draws) -> None:
    """Read any bytes as JSON Lines, answer them, and go on from the answers."""
    lines = draws.several(lambda: _line(draws).replace(b"\n", b"") + b"\n", 4)
    rows = list(read_rows(lines, ["person"] if draws.chance() else ()))
    written = [
        line for line in lines if line.removeprefix(b"\xef\xbb\xbf" if line is lines[0] else b"").strip()
    ]
    assert len(rows) == len(written)
    answers = []
    for row, line in zip(rows, written, strict=True):
        assert row.size == len(line)
        answer = write_answer(row, row.error or []).encode("utf-8")
        assert answer.count(b"\n") == 1
        value = json.loads(answer)
        assert ("entities" in value) != bool(row.error)
        own = {key: v for key, v in row.record.items() if key not in ANSWERED}
        assert {key: v for key, v in value.items() if key not in ANSWERED} == own
        answers.append(answer)
    done = draws.integer(0, len(answers))
    left = iter(rows)
    count, failed, size = skip_answered(left, answers[:done])
    assert (count, size) == (done, sum(map(len, answers[:done])))
    assert failed == sum(bool(row.error) for row in rows[:done])
    assert list(left) == rows[done:]


def _line(draws: Draws) -> bytes:
    kind = draws.integer(0, 2)
    if kind == 0:
        return draws.bytes()
    record = {
        draws.choice(("text", "labels", "id", "entities", "error", "line")): _value(draws, 2)
        for _ in range(3)
    }
    whole = json.dumps({**record, "text": draws.text(6)} if draws.chance() else record).encode()
    return whole if kind == 1 else whole[: draws.integer(0, len(whole))] + draws.bytes(3)


def _value(draws: Draws, depth: int) -> Any:
    kind = draws.integer(0, 7)
    if kind >= 6 and depth:
        return draws.several(lambda: _value(draws, depth - 1), 3)
    if kind == 5 and depth:
        return {draws.text(2): _value(draws, depth - 1)}
    return draws.choice((None, True, 10**400, -0.0, 1e308, math.nan, 7)) if kind < 3 else draws.text(4)


def metric(draws: Draws) -> None:
    """Score two sides, by sets and by crossing out."""
    kinds, texts = (
        ("person", "Person", "İ", "i̇", "ß", ""),
        ("Ada", "ada", "the Ada", "Ada.", "", "\x00", "é", "e\u0301"),
    )

    def entity() -> dict[str, Any]:
        start = draws.integer(0, 3)
        own = {"type": draws.choice(kinds), "text": draws.choice(texts) if draws.chance() else draws.text(2)}
        own["text"] = own["text"].encode("utf-8", "ignore").decode()
        return {**own, "start": start, "end": start + draws.integer(1, 3)}

    def side() -> list[dict[str, Any]]:
        return draws.several(entity, 4)

    pairs = draws.several(lambda: (side(), side()), 3)
    config, matching = draws.choice(
        (
            ("text", "strict"),
            ("text", "multiset"),
            ("text", "uniner"),
            ("span", "strict"),
            ("span", "multiset"),
        )
    )
    ours, gold = [a for a, _ in pairs], [b for _, b in pairs]
    score = score_entities(ours, gold, config_name=config, matching=matching, per_type=True, macro=True)
    tp, predicted, support = _crossed_out(pairs, config, matching)
    assert (score.tp, score.fp, score.fn, score.support) == (tp, predicted - tp, support - tp, support)
    for value in (score.precision, score.recall, score.f1):
        assert 0 <= value <= 1
    assert score.per_type is not None
    assert sum(own.tp for own in score.per_type.values()) == tp
    swapped = score_entities(gold, ours, config_name=config, matching=matching)
    assert (swapped.precision, swapped.recall) == (score.recall, score.precision)
    assert math.isclose(swapped.f1, score.f1, abs_tol=1e-12)


def _crossed_out(pairs: list, config: str, matching: str) -> tuple[int, int, int]:
    """Return true positives, predicted and reference items, by crossing out one of each after the other."""
    tp = predicted = support = 0
    for sides in pairs:
        items: list[list[tuple]] = []
        for side in sides:
            own: list[tuple] = []
            for entity in side:
                text = normalize_uniner(entity["text"]) if matching == "uniner" else entity["text"]
                what = (entity["start"], entity["end"]) if config == "span" else (text,)
                item = (entity["type"].casefold(), *what)
                if matching == "multiset" or item not in own:
                    own.append(item)
            items.append(own)
        ours, gold = items
        predicted, support = predicted + len(ours), support + len(gold)
        for item in ours:
            if item in gold:
                gold.remove(item)
                tp += 1
    return tp, predicted, support


TARGETS = {
    "template": Target("what is rendered is parsed again, with its ranges", template),
    "parser": Target("any completion is read or counted, ranges exact", parser),
    "types": Target("types are refused in words, or clean and apart", labels),
    "words": Target("words are in order and apart, windows cover them within the budget", words),
    "jsonlines": Target("a line for every line, in order, and a stopped run goes on", jsonlines),
    "metric": Target("counts are those of crossing out; bounds and symmetry hold", metric),
}
