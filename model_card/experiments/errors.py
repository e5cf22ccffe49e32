"""Where the mistakes lie: boundary, type, missed, spurious; by type, length and position; against baselines.

    python -m model_card experiment errors --model mini --data DIR

Mentions are compared by character offsets. A gold mention counts as right, of wrong type, of wrong boundary,
of both, or missed; a predicted one as right, wrong in the same ways, or spurious.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from dataset_builder.benchmarks import MISC, Benchmark, Sentence
from model_card.evidence.mistakes import GOLD, PREDICTED, Span, classes
from model_card.evidence.predictions import Answer
from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import behaviour

CONFUSIONS = 15  # the most frequent pairs (gold type, predicted type) that are listed


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return the headline setting."""
    return {"test": [context.headline]}


def run(context: Context) -> dict[str, Any]:
    """Classify every mention of every set, and compare with baselines mention by mention."""
    sets = {}
    for benchmark, prediction in context.predictions(context.headline):
        sets[benchmark.name] = analyse(benchmark, prediction.final)
    return {
        "setting": context.headline.name,
        "sets": sets,
        "baselines": {name: _against(context, name) for name in context.baselines},
    }


def analyse(benchmark: Benchmark, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the classes of gold and predicted mentions, and recall by type, length and position."""
    gold_classes: Counter[str] = Counter()
    predicted_classes: Counter[str] = Counter()
    confusions: Counter[tuple[str, str]] = Counter()
    recall: dict[str, dict[str, list[int]]] = {
        name: defaultdict(lambda: [0, 0]) for name in ("type", "words", "position", "sentence_words")
    }
    precision: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for sentence, answer in zip(benchmark.sentences, answers, strict=False):
        gold, predicted = _gold(sentence), _predicted(answer)
        own = classes(gold, predicted, "missed")
        gold_classes.update(own)
        for mention, kind in zip(gold, own, strict=True):
            for name, value in _features(mention, sentence.text).items():
                recall[name][value][0] += kind == "right"
                recall[name][value][1] += 1
            if kind == "type":
                asked = [p.type for p in predicted if (p.start, p.end) == (mention.start, mention.end)]
                confusions.update((mention.type, other) for other in asked)
        theirs = classes(predicted, gold, "spurious")
        predicted_classes.update(theirs)
        for mention, kind in zip(predicted, theirs, strict=True):
            precision[mention.type][0] += kind == "right"
            precision[mention.type][1] += 1
    return {
        "gold": {kind: gold_classes[kind] for kind in GOLD},
        "predicted": {kind: predicted_classes[kind] for kind in PREDICTED},
        "recall": {
            name: {value: {"right": r, "of": n} for value, (r, n) in sorted(table.items())}
            for name, table in recall.items()
        },
        "precision": {kind: {"right": r, "of": n} for kind, (r, n) in sorted(precision.items())},
        "confusions": [
            {"gold": wanted, "predicted": got, "count": count}
            for (wanted, got), count in sorted(confusions.items(), key=lambda c: (-c[1], c[0]))[:CONFUSIONS]
        ],
    }


def _features(mention: Span, text: str) -> dict[str, str]:
    words = len(text[mention.start : mention.end].split())
    total = len(text.split())
    third = min(2, 3 * mention.start // max(1, len(text)))
    return {
        "type": mention.type,
        "words": str(words) if words < 4 else "4 or more",
        "position": ("first third", "middle third", "last third")[third],
        "sentence_words": next((f"up to {n:2}" for n in (10, 20, 40) if total <= n), "over 40"),
    }


def _gold(sentence: Sentence) -> list[Span]:
    return [Span(e.start, e.end, e.type) for e in sentence.entities if e.type != MISC]


def _predicted(answer: Answer) -> list[Span]:
    return [Span(e.start, e.end, e.label) for e in answer.entities]


def _against(context: Context, name: str) -> dict[str, Any]:
    """Return by type the gold mentions that only one of the two got, and the sentences each does better."""
    sets = {}
    for benchmark, prediction in context.predictions(context.headline):
        other = context.baseline(name, benchmark)
        if other is None:
            continue
        by_type: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        sentences: Counter[str] = Counter()
        rows = zip(benchmark.sentences, prediction.final, other.final, strict=False)
        for sentence, ours, theirs in rows:
            gold = set(_gold(sentence))
            own, their = set(_predicted(ours)), set(_predicted(theirs))
            for mention in gold & (own ^ their):
                by_type[mention.type][mention in their] += 1
            mistakes = len(own ^ gold) - len(their ^ gold)
            sentences["ours" if mistakes < 0 else "theirs" if mistakes > 0 else "equal"] += 1
        sets[benchmark.name] = {
            "only": {kind: {"ours": a, "theirs": b} for kind, (a, b) in sorted(by_type.items())},
            "fewer_mistakes": {who: sentences[who] for who in ("ours", "theirs", "equal")},
        }
    return sets


EXPERIMENT = Experiment(
    "errors",
    "boundary, type, missed and spurious mentions; by type, length and position; against baselines",
    run,
    {"errors": behaviour.errors},
    settings=settings,
)
