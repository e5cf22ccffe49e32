"""One thing of the decoding changed at a time, by the rows of ``ablations.yaml``.

    python -m model_card experiment ablations --model mini --data DIR

Rows of training are those of the experiment ``recipe``.
"""

from typing import Any

from model_card.evidence.intervals import difference, mean_f1
from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.experiments.rows import decoding_rows
from model_card.figures import behaviour


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return every setting of a row once."""
    every = (setting for group in decoding_rows(context.canvases).values() for setting in group.values())
    return {"test": list(dict.fromkeys(every))}


def run(context: Context) -> dict[str, Any]:
    """Score all rows; the difference is to the first row of each question, on the same sentences."""
    found: dict[str, Any] = {}
    counted = {setting: context.counts(setting) for setting in settings(context)["test"]}
    for question, group in decoding_rows(context.canvases).items():
        first = counted[next(iter(group.values()))]
        found[question] = {
            name: {
                "setting": setting.name,
                **mean_f1(counted[setting]),
                "against_first": None if counted[setting] is first else difference(counted[setting], first),
            }
            for name, setting in group.items()
        }
    return {"decoding": found}


EXPERIMENT = Experiment(
    "ablations",
    "mean strict F1 with one thing changed at a time",
    run,
    {"ablations": behaviour.ablations},
    settings=settings,
)
