"""Commands under the names of the modules that they were before: ``python -m model_card.evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType

_STANDARD = "main pareto self_correction uncertainty ablations errors hallucination denoising size"

# Former module -> the words of the command now.
MOVED = {
    "evaluate": "evaluate",
    "predict": "predict",
    "evidence.__main__": "evidence",
    "build": "card",
    "render": "render",
    "finetune": "experiment finetune",
    "integrations": "experiment integrations",
    "recipe_rows": "experiment recipe",
    "training_types": "experiment seen_types",
    "seeds": "experiment seeds",
    "zero_shot": "experiment zero_shot",
    "speed.__main__": "speed",
    "energy": "speed energy",
    "full_shape": "speed shape",
    "scale": "speed scale",
    "speed_replay": "speed replay",
    "training_7b": "speed training",
    "baselines.run": "baseline",
    "baselines.parrot": "baseline parrot",
    **{f"experiments.{name}": f"experiment {name}" for name in _STANDARD.split()},
}


class _Runner(InspectLoader):
    """Code that runs the command in the place of a module, given the same arguments."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    def get_source(self, fullname: str) -> str:
        """Return the source of the module."""
        return (
            "import sys\nfrom model_card.__main__ import main\n"
            f"if __name__ == '__main__':\n    sys.exit(main([*{self._words!r}, *sys.argv[1:]]))\n"
        )

    def get_code(self, fullname: str) -> CodeType | None:
        """Return its code."""
        return compile(self.get_source(fullname), f"<{fullname}>", "exec")


class _Finder(MetaPathFinder):
    """Finds the former modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what runs the command that a module was, or None for every other module."""
        package, _, name = fullname.partition(".")
        if package != "model_card" or name not in MOVED:
            return None
        # Modules that still are where they were stay modules, unless ``python -m`` asks for one.
        if "." in name and sys.argv[:1] != ["-m"]:
            return None
        return spec_from_loader(fullname, _Runner(MOVED[name].split()), origin=__file__)


def install() -> None:
    """Make the former names known to Python's import, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
