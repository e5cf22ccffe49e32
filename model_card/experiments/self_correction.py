"""Does denoising mend its own mistakes? The answer after every step, for every test sentence.

    python -m model_card experiment self_correction --model mini --data DIR

Between one step and eight, mention by mention of (type, text) in a sentence: a *correction* makes a missed
mention right or removes a wrong one, a *regression* loses a right one or adds a wrong one. Without remasking
a revealed slot stays as it is, so that only slots still masked can change; with it, unsure ones are masked
again. Twenty sentences that changed are written to ``self_correction_cases.md`` beside the results.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from dataset_builder.benchmarks import Benchmark, Sentence
from model_card.evidence.intervals import counts_of, difference, mean_f1
from model_card.evidence.predictions import Answer, Prediction
from model_card.evidence.scores import references
from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import behaviour

STEPS = 8
CASES = 20
SHORT = 220  # characters of a sentence that is shown

Found = set[tuple[str, str]]


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return eight steps with every answer in between, and one step, on each canvas."""
    chosen = []
    for canvas in context.canvases:
        chosen += [Setting(canvas, steps=1)]
        chosen += [Setting(canvas, steps=STEPS, remasking=r, answers="steps") for r in (False, True)]
    return {"test": chosen}


def run(context: Context) -> dict[str, Any]:
    """Count corrections and regressions, and follow F1 over the steps."""
    found: dict[str, Any] = {}
    for canvas in context.canvases:
        base = [(b, p.final) for b, p in context.predictions(Setting(canvas, steps=1))]
        for remasking in (False, True):
            setting = Setting(canvas, steps=STEPS, remasking=remasking, answers="steps")
            found[setting.name] = _compare(context, setting, base)
    cases = list(_cases(context))
    _write_sheet(context, cases)
    return {"settings": found, "cases": cases}


def _compare(
    context: Context, setting: Setting, base: Sequence[tuple[Benchmark, list[Answer]]]
) -> dict[str, Any]:
    sets, one_step, last = {}, [], []
    by_step: list[list[Any]] = [[] for _ in range(STEPS)]
    for (benchmark, first), (_, prediction) in zip(base, context.predictions(setting), strict=True):
        changes: Counter[str] = Counter()
        for sentence, before, steps in zip(benchmark.sentences, first, prediction.answers, strict=False):
            changes += changes_of(_gold(sentence), _items(before), _items(steps[-1]))
            changes["reverted"] += len(reverted([_items(step) for step in steps]))
        names = ("found", "removed", "lost", "added", "right", "wrong", "reverted")
        sets[benchmark.name] = {name: changes[name] for name in names}
        gold = references(benchmark, context.limit)
        for step in range(STEPS):
            by_step[step].append(counts_of([a[step].returned() for a in prediction.answers], gold))
        one_step.append(counts_of([a.returned() for a in first], gold))
        last.append(by_step[-1][-1])
    total = {name: sum(own[name] for own in sets.values()) for name in next(iter(sets.values()))}
    return {
        "sets": sets,
        "total": {
            **total,
            "corrections": total["found"] + total["removed"],
            "regressions": total["lost"] + total["added"],
        },
        "f1_by_step": [mean_f1(counts, resamples=1)["f1"] for counts in by_step],
        "against_one_step": difference(last, one_step),
    }


def changes_of(gold: Found, before: Found, after: Found) -> Counter[str]:
    """Count what changed from one answer to another.

    ``found`` and ``lost`` are right mentions gained and lost, ``removed`` and ``added`` wrong ones;
    ``right`` and ``wrong`` are those that stayed.
    """
    return Counter(
        found=len((after - before) & gold),
        lost=len((before - after) & gold),
        removed=len((before - after) - gold),
        added=len((after - before) - gold),
        right=len(before & after & gold),
        wrong=len((before & after) - gold),
    )


def reverted(steps: Sequence[Found]) -> Found:
    """Return the mentions that were in some answer on the way and are not in the last one."""
    on_the_way: Found = set().union(*steps[:-1])
    return on_the_way - steps[-1]


def _gold(sentence: Sentence) -> Found:
    return {(e.type, e.text) for e in sentence.entities}


def _items(answer: Answer) -> Found:
    return {(e.label, e.text) for e in answer.entities}


def _cases(context: Context) -> Iterator[dict[str, Any]]:
    """Yield readable sentences that changed, on the default canvas with remasking, spread over the sets."""
    canvas = context.canvases[0]
    setting = Setting(canvas, steps=STEPS, remasking=True, answers="steps")
    draw = random.Random(0)
    pools = [draw.sample(own, len(own)) for own in map(_changed, context.predictions(setting))]
    taken = 0
    for turn in range(max(map(len, pools), default=0)):
        for pool in pools:
            if turn < len(pool) and taken < CASES:
                taken += 1
                yield pool[turn]


def _changed(pair: tuple[Benchmark, Prediction]) -> list[dict[str, Any]]:
    benchmark, prediction = pair
    cases = []
    for sentence, steps in zip(benchmark.sentences, prediction.answers, strict=False):
        answers = [sorted(_items(step)) for step in steps]
        if len(sentence.text) > SHORT or answers[0] == answers[-1]:
            continue
        gold = _gold(sentence)
        cases.append(
            {
                "set": benchmark.name,
                "text": sentence.text,
                "gold": sorted(gold),
                "steps": [
                    {"step": step + 1, "entities": own}
                    for step, own in enumerate(answers)
                    if step == 0 or own != answers[step - 1]
                ],
                "changes": dict(+changes_of(gold, set(answers[0]), set(answers[-1]))),
            }
        )
    return cases


def _write_sheet(context: Context, cases: Sequence[dict[str, Any]]) -> None:
    """Write the cases for people, right mentions bold."""
    lines = [
        "# Sentences whose answer changed while it was denoised",
        "",
        f"Model {context.predictor.model}, {context.canvases[0]} canvas, {STEPS} steps with remasking; "
        "drawn at random (seed 0) from the sentences that changed, spread over the sets. Bold: as in the "
        "reference. Only the steps that changed something are shown.",
    ]
    for number, case in enumerate(cases, start=1):
        lines += ["", f"## {number}. {case['set']}", "", f"> {case['text']}", ""]
        lines.append(f"Reference: {_listed(case['gold'], case['gold'])}")
        lines.append("")
        lines += [f"- step {s['step']}: {_listed(s['entities'], case['gold'])}" for s in case["steps"]]
    context.results.mkdir(parents=True, exist_ok=True)
    (context.results / "self_correction_cases.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _listed(entities: Sequence[Any], gold: Sequence[Any]) -> str:
    right = {tuple(pair) for pair in gold}
    shown = [f"**{t}: {x}**" if (t, x) in right else f"{t}: {x}" for t, x in map(tuple, entities)]
    return "; ".join(shown) or "nothing"


EXPERIMENT = Experiment(
    "self_correction",
    "changes of the answer between one and eight denoising steps, with and without remasking",
    run,
    {"self-correction": behaviour.self_correction},
    settings=settings,
)
