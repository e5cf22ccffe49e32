"""The Python code that gives what the page shows."""

from .inference import COMPARED_STEPS, SEED, TEMPERATURE
from .limits import RUNS, Query

_SHORT = 88  # columns


def code_of(view: str, query: Query, model: str | None) -> str:
    """Return the code for one view (``"entities"``, ``"canvas"``, ``"steps"``, ``"uncertainty"``)."""
    asked = f"text, labels, threshold={query.threshold!r}, canvas={query.canvas!r}"
    lines = [
        "from modeling import EntityExtractor",
        "",
        f"extractor = EntityExtractor.from_pretrained({'' if model is None else repr(model)})",
        f"text = {query.text!r}",
        _assigned("labels", list(query.types)),
    ]
    if view == "canvas":
        lines += [
            f"for step in extractor.stream({asked}, steps={query.steps}):",
            '    print(step["step"], [slot["symbol"] or "?" for slot in step["slots"]])',
        ]
    elif view == "steps":
        lines += [
            f"for steps in {COMPARED_STEPS!r}:",
            f"    print(steps, extractor.predict_entities({asked}, steps=steps))",
        ]
    elif view == "uncertainty":
        lines += [
            "runs = extractor.sample_entities(",
            f"    {asked},",
            f"    steps={query.steps}, runs={RUNS}, temperature={TEMPERATURE}, seed={SEED},",
            ")",
            "print(runs)",
        ]
    else:
        lines += [
            f"entities = extractor.predict_entities({asked}, steps={query.steps})",
            "print(entities)",
        ]
    return "\n".join(lines) + "\n"


def _assigned(name: str, values: list[str]) -> str:
    line = f"{name} = {values!r}"
    if len(line) <= _SHORT:
        return line
    return "\n".join([f"{name} = [", *(f"    {value!r}," for value in values), "]"])
