"""All commands of the evidence.

python -m model_card evaluate --model mini --data DIR
python -m model_card experiment pareto --help
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

EXPERIMENTS = "main pareto self_correction uncertainty ablations errors hallucination denoising size"

# Command -> module with `main`, and what it does.
COMMANDS = {
    "evaluate": ("evidence.evaluate", "strict F1 on the benchmarks, under any decoding"),
    "predict": ("evidence.predict", "compute and keep the predictions of the experiments"),
    "evidence": ("evidence.__main__", "all experiments and the card"),
    **{f"experiment {name}": (f"experiments.{name}", "") for name in EXPERIMENTS.split()},
    "experiment finetune": ("experiments.finetune", "F1 after training on a few sentences"),
    "experiment integrations": ("experiments.integrations", "pipeline and spaCy against the extractor"),
    "experiment recipe": ("experiments.recipe_rows", "what each part of the data recipe gives"),
    "experiment training": ("experiments.train_ablations", "ablations that need training"),
    "experiment seen_types": ("experiments.seen_types", "the type names that a model was trained on"),
    "experiment seeds": ("experiments.seeds", "the spread over training seeds"),
    "experiment zero_shot": ("experiments.zero_shot", "what training had seen of the test sets"),
    "speed": ("speed.__main__", "how fast extraction is"),
    "speed energy": ("speed.energy", "the energy of any command on a GPU"),
    "speed replay": ("speed.replay", "count the forwards of the sentences that speed is measured on"),
    "speed scale": ("speed.scale", "a corpus annotated while processes are killed"),
    "speed shape": ("speed.shape", "Dream-7B's full shape: loading, extraction, a backward pass"),
    "speed training": ("speed.training", "LoRA training at Dream-7B's shape"),
    "baseline": ("baselines.run", "answers of other systems to the benchmarks"),
    "baseline parrot": ("baselines.parrot", "a network that knows answers by heart, to test the path"),
    "card": ("release.card", "write a model's card and pictures"),
    "render": ("figures.render", "fill the figures of the README files"),
    "release": ("release.__main__", "assemble, check and upload the artefacts"),
}


def usage() -> str:
    """Return the list of commands."""
    lines = [f"  {name:24} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: python -m model_card COMMAND ...", "", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit status 2 for wrong use."""
    words = list(sys.argv[1:] if argv is None else argv)
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return int(import_module(f"model_card.{COMMANDS[name][0]}").main(words[count:]))
    asked = not words or words[0] in ("-h", "--help")
    print(
        usage() if asked else f"error: no command {' '.join(words[:2])!r}\n{usage()}",
        file=sys.stdout if asked else sys.stderr,
    )
    return 0 if asked and words else 2


if __name__ == "__main__":
    sys.exit(main())
