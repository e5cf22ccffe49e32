"""Entity precision, recall and F1: counting, averages and bootstrap, with the standard library only."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .entities import FIELDS, MATCHINGS, check_lengths, check_sentences, entity_key, fold_types

# UniNER's evaluator adds this to each of its three denominators; so its 0/0 is 0.
UNINER_EPSILON = 1e-10

Entities = Sequence[Sequence[dict[str, Any]]]
Interval = tuple[float, float]
# True positives, predicted items, reference items: they add up over sentences, unlike any ratio of them.
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 in [0, 1] with the counts that they come from.

    `tp`, `fp` and `fn` count items after the matching's own deduplication; `support = tp + fn`.
    """

    precision: float
    recall: float
    f1: float
    tp: int
    fp: int
    fn: int
    support: int


@dataclass(frozen=True)
class Average:
    """Unweighted means over types, in [0, 1]; `f1` is the mean of the types' F1, not the F1 of the means."""

    precision: float
    recall: float
    f1: float
    types: int


@dataclass(frozen=True)
class Bootstrap:
    """Percentile intervals `(low, high)` of the micro scores over resampled sentences."""

    precision: Interval
    recall: Interval
    f1: Interval
    confidence_level: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class PairedBootstrap:
    """The system against a baseline on the same resampled sentences.

    `f1_difference` is system minus baseline, in [-1, 1], `interval` its percentile interval; `p_value` is
    two-sided, in (0, 1].
    """

    baseline: Score
    f1_difference: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class EntityScore(Score):
    """The micro scores of `score_entities`, and the parts that were asked for (`None` otherwise)."""

    per_type: dict[str, Score] | None = None
    macro: Average | None = None
    seen: Score | None = None
    unseen: Score | None = None
    bootstrap: Bootstrap | None = None
    paired: PairedBootstrap | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as nested plain values without the parts that were not asked for."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class _Rule:
    """How counts become ratios."""

    matching: str
    zero_division: float

    def ratios(self, tp: int, predicted: int, gold: int) -> tuple[float, float, float]:
        if self.matching == "uniner":
            precision, recall = tp / (predicted + UNINER_EPSILON), tp / (gold + UNINER_EPSILON)
            return precision, recall, 2 * precision * recall / (precision + recall + UNINER_EPSILON)
        # 2 tp / (predicted + gold) is the harmonic mean of the two, but defined even when one of them is 0/0.
        return self._divide(tp, predicted), self._divide(tp, gold), self._divide(2 * tp, predicted + gold)

    def score(self, triples: Iterable[Sequence[int]]) -> Score:
        tp, predicted, gold = (sum(column) for column in zip((0, 0, 0), *triples, strict=True))
        return Score(*self.ratios(tp, predicted, gold), tp, predicted - tp, gold - tp, gold)

    def macro(self, scores: Sequence[Score]) -> Average:
        def mean(values: Iterable[float]) -> float:
            return math.fsum(values) / len(scores) if scores else self.zero_division

        return Average(
            mean(score.precision for score in scores),
            mean(score.recall for score in scores),
            mean(score.f1 for score in scores),
            len(scores),
        )

    def _divide(self, numerator: int, denominator: int) -> float:
        return numerator / denominator if denominator else self.zero_division


@dataclass(frozen=True)
class _Counts:
    """`by_sentence[i]` and `by_type[type]` are triples; both sum to the same totals."""

    by_sentence: list[Triple]
    by_type: dict[str, list[int]]


def score_entities(
    predictions: Entities,
    references: Entities,
    *,
    config_name: str = "text",
    matching: str = "strict",
    zero_division: float = 0.0,
    ignore_types: Collection[str] = (),
    per_type: bool = False,
    macro: bool = False,
    seen_types: Collection[str] | None = None,
    bootstrap: int = 0,
    confidence_level: float = 0.95,
    seed: int = 0,
    baseline_predictions: Entities | None = None,
) -> EntityScore:
    """Micro precision, recall and F1 of predicted entities, counted per sentence.

    With P_i and R_i the predicted and the reference items of sentence i: tp = sum |P_i & R_i|,
    fp = sum |P_i - R_i|, fn = sum |R_i - P_i|; precision = tp / (tp + fp), recall = tp / (tp + fn),
    f1 = 2 tp / (2 tp + fp + fn). An item is (type, text) or (type, start, end); the case of types
    is folded, texts are compared exactly.

    Args:
        predictions: one list of entities per sentence. An entity is a dict with `type` (str) and `text` (str)
            or `start` and `end` (int, 0 <= start < end, end exclusive); further keys are not read.
        references: the same, of the same length.
        config_name: `"text"` compares (type, text), `"span"` compares (type, start, end).
        matching: `"strict"` makes P_i and R_i sets; `"multiset"` keeps repeated items, each matched once;
            `"uniner"` (only with `"text"`) compares as UniNER's evaluator does: texts by `normalize_uniner`,
            a set per (sentence, type) query, 1e-10 added to every denominator.
        zero_division: the value of 0/0, `0.0` or `1.0`: of a precision without predictions, a recall without
            references, an F1 without either, a mean over no type. `"uniner"` has its own rule, 0.
        ignore_types: types left out of predictions and references alike, such as `["misc"]`.
        per_type: also give the scores of each type that occurs, sorted by name (case-folded).
        macro: also give the unweighted means over those types.
        seen_types: also give the micro scores over these types (`seen`) and over all others (`unseen`).
        bootstrap: the number of resamples of whole sentences, with replacement, for percentile intervals
            (Efron & Tibshirani 1993, ch. 13); 0 for none.
        confidence_level: the coverage of the intervals, in (0, 1).
        seed: of the resampling; the same seed draws the same sentences, with a baseline or without.
        baseline_predictions: a second system's predictions for the paired bootstrap (Koehn 2004): both
            are scored on the same resamples. p = min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (1 + resamples))
            for the resampled differences d; the added ones keep it above 0 (Davison & Hinkley 1997, ch. 4).

    Returns:
        An `EntityScore`; its `to_dict()` has only the parts that were asked for.

    Raises:
        ValueError: a bad option, or a bad entity, which is named by its index.
    """
    _check_options(config_name, matching, zero_division, bootstrap, confidence_level, baseline_predictions)
    ignored = fold_types("ignore_types", ignore_types)
    seen = None if seen_types is None else fold_types("seen_types", seen_types)
    check_sentences("references", references, config_name)

    def count(name: str, system: Entities) -> _Counts:
        check_sentences(name, system, config_name)
        check_lengths(name, system, "references", references)
        return _count(system, references, config_name, matching, ignored)

    counts = count("predictions", predictions)
    rule = _Rule(matching, float(zero_division))
    micro = rule.score(counts.by_type.values())
    types = {label: rule.score([counts.by_type[label]]) for label in sorted(counts.by_type)}
    intervals = comparison = None
    if bootstrap:
        baseline = None
        if baseline_predictions is not None:
            baseline = count("baseline_predictions", baseline_predictions)
        intervals, comparison = _bootstrap(counts, baseline, rule, bootstrap, confidence_level, seed)
    return EntityScore(
        **asdict(micro),
        per_type=types if per_type else None,
        macro=rule.macro(list(types.values())) if macro else None,
        seen=None if seen is None else rule.score(counts.by_type[label] for label in types if label in seen),
        unseen=None
        if seen is None
        else rule.score(counts.by_type[label] for label in types if label not in seen),
        bootstrap=intervals,
        paired=comparison,
    )


def _check_options(
    config_name: str,
    matching: str,
    zero_division: float,
    bootstrap: int,
    confidence_level: float,
    baseline_predictions: Entities | None,
) -> None:
    if config_name not in FIELDS:
        raise ValueError(f"config_name must be one of {sorted(FIELDS)}, got {config_name!r}")
    if matching not in MATCHINGS:
        raise ValueError(f"matching must be one of {list(MATCHINGS)}, got {matching!r}")
    if matching == "uniner" and config_name != "text":
        raise ValueError(f"matching='uniner' compares texts: use config_name='text', not {config_name!r}")
    if zero_division not in (0, 1):
        raise ValueError(f"zero_division must be 0.0 or 1.0, got {zero_division!r}")
    if matching == "uniner" and zero_division != 0:
        raise ValueError("matching='uniner' defines 0/0 as 0: leave zero_division at 0.0")
    if isinstance(bootstrap, bool) or not isinstance(bootstrap, int) or bootstrap < 0:
        raise ValueError(
            f"bootstrap is the number of resamples, such as 1000, or 0 for none, got {bootstrap!r}"
        )
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie between 0 and 1, such as 0.95, got {confidence_level!r}")
    if baseline_predictions is not None and not bootstrap:
        raise ValueError(
            "baseline_predictions are compared by a paired bootstrap: also set bootstrap, such as 1000"
        )


def _count(
    predictions: Entities, references: Entities, config_name: str, matching: str, ignored: frozenset[str]
) -> _Counts:
    key = entity_key(config_name, matching)
    bag: Callable[[Iterable[Any]], Any] = Counter if matching == "multiset" else set
    items: Callable[[Any], Iterable[Any]] = Counter.elements if matching == "multiset" else iter
    by_sentence: list[Triple] = []
    by_type: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for predicted_entities, gold_entities in zip(predictions, references, strict=True):
        predicted, gold = bag(map(key, predicted_entities)), bag(map(key, gold_entities))
        totals = [0, 0, 0]
        for column, side in enumerate((predicted & gold, predicted, gold)):
            for item in items(side):
                if item[0] not in ignored:
                    by_type[item[0]][column] += 1
                    totals[column] += 1
        by_sentence.append((totals[0], totals[1], totals[2]))
    return _Counts(by_sentence, dict(by_type))


def _bootstrap(
    system: _Counts, baseline: _Counts | None, rule: _Rule, resamples: int, confidence_level: float, seed: int
) -> tuple[Bootstrap, PairedBootstrap | None]:
    rows: list[tuple[int, ...]] = list(system.by_sentence)
    if baseline is not None:
        rows = [first + second for first, second in zip(rows, baseline.by_sentence, strict=True)]
    if not rows:
        raise ValueError("a bootstrap needs at least one sentence, got none")
    sums = list(resampled_sums(rows, resamples, seed))
    draws = [rule.ratios(*row[:3]) for row in sums]
    precision, recall, f1 = (_interval(values, confidence_level) for values in zip(*draws, strict=True))
    intervals = Bootstrap(precision, recall, f1, confidence_level, resamples, seed)
    if baseline is None:
        return intervals, None
    differences = [draw[2] - rule.ratios(*row[3:])[2] for draw, row in zip(draws, sums, strict=True)]
    against = min(sum(value <= 0 for value in differences), sum(value >= 0 for value in differences))
    baseline_score = rule.score(baseline.by_type.values())
    return intervals, PairedBootstrap(
        baseline=baseline_score,
        f1_difference=rule.score(system.by_type.values()).f1 - baseline_score.f1,
        interval=_interval(differences, confidence_level),
        p_value=min(1.0, 2 * (1 + against) / (1 + resamples)),
    )


def resampled_sums(rows: Sequence[Sequence[int]], resamples: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Column sums of `len(rows)` rows drawn with replacement, `resamples` times.

    Each row of counts is packed into one integer, wide enough that no column's sum carries into the next: one
    addition a draw instead of one a column, so that 1000 resamples of 20,000 sentences take a few seconds.

    Args:
        rows: at least one row of equally many non-negative counts.
        resamples: how many sums to yield.
        seed: of `random.Random`.
    """
    width = (len(rows) * max(map(max, rows))).bit_length() + 1
    packed = [sum(count << (width * column) for column, count in enumerate(row)) for row in rows]
    draw = random.Random(seed)
    low = (1 << width) - 1
    for _ in range(resamples):
        total = sum(draw.choices(packed, k=len(packed)))
        yield tuple((total >> (width * column)) & low for column in range(len(rows[0])))


def _interval(values: Sequence[float], confidence_level: float) -> Interval:
    tail = (1 - confidence_level) / 2
    ordered = sorted(values)
    return quantile(ordered, tail), quantile(ordered, 1 - tail)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile at `share` in [0, 1] of sorted values, interpolated (Hyndman & Fan 1996, type 7)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
