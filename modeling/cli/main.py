"""The one command: ``diffusion-ner COMMAND ...``, or ``python -m modeling COMMAND ...``.

The package has some commands itself. Others are of the repository (data, evidence): they are offered where
its packages can be imported, and named with the reason where they cannot.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from .exits import EXIT_STATUS, UsageError, debugging, guard
from .parser import PROGRAM, nearest, show_help


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        module: with a ``main(argv)`` that returns the exit status; a leading dot is this package.
        summary: what it does, for the list.
        words: what goes before the user's words.
    """

    module: str
    summary: str
    words: tuple[str, ...] = ()

    @property
    def of_repository(self) -> bool:
        """Whether a clone of the repository has it and the installed package does not."""
        return not self.module.startswith(".")

    def is_there(self) -> bool:
        """Whether it can be imported here."""
        if not self.of_repository:
            return True
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:  # of the package that should hold it
            return False

    def run(self, words: Sequence[str]) -> int:
        """Run it and return the exit status."""
        module = import_module(self.module, __package__)
        return int(module.main([*self.words, *words]))


COMMANDS = {
    "extract": Command(".extract", "entities of texts, of files or of standard input"),
    "annotate": Command(".annotate", "entities of a corpus, on this machine or a Ray cluster"),
    "train": Command(".train", "train a model, or go on training one on your own data"),
    "merge": Command(".merge", "merge an adapter into its base"),
    "convert": Command(".convert", "Dream as published to its native form"),
    "data": Command("dataset_builder.build", "format Pile-NER as prompt and completion rows"),
    "mix": Command("dataset_builder.mix.__main__", "build the training mix of the small model"),
    "evaluate": Command("model_card.__main__", "strict F1 on the benchmarks", ("evaluate",)),
    "evidence": Command("model_card.__main__", "experiments, speed, card and release"),
}


def usage() -> str:
    """Return the list of commands."""
    here = [(name, command) for name, command in COMMANDS.items() if command.is_there()]
    missing = [name for name, command in COMMANDS.items() if not command.is_there()]
    lines = [
        f"usage: {PROGRAM} COMMAND ...",
        "",
        "Zero-shot entity recognition by masked diffusion.",
        "",
        "commands:",
        *(f"  {name:10}{command.summary}" for name, command in here),
        "",
        f"{PROGRAM} COMMAND --help shows the usual options of a command, --help-all all of them.",
    ]
    if missing:
        lines.append(f"Not here, for they are not installed with the package: {', '.join(missing)}.")
    return "\n".join([*lines, "", EXIT_STATUS.rstrip()])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (wrong usage of a command: SystemExit with status 2)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["-h"], ["--help"], ["--help-all"]):
        show_help(usage())
    return guard(lambda: _dispatch(words), debug=debugging())


def _dispatch(words: Sequence[str]) -> int:
    if not words:
        raise UsageError(f"no command given\n{usage()}")
    name = words[0]
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS)
        raise UsageError(f"there is no command {name!r}{hint}\nusage: {PROGRAM} COMMAND ... (see --help)")
    command = COMMANDS[name]
    if not command.is_there():
        raise UsageError(
            f"{name} is of the repository, whose {command.module.partition('.')[0]} cannot be imported here; "
            f"clone the repository and run there: python -m modeling {name}"
        )
    return command.run(words[1:])


if __name__ == "__main__":
    sys.exit(main())
