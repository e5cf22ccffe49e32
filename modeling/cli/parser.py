"""The parser of a command: short help, rare options behind ``--help-all``, errors in two lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from .exits import EXIT_STATUS, WRONG_USE, close_output

PROGRAM = "diffusion-ner"
RARE = "rare options"


class CommandParser(argparse.ArgumentParser):
    """argparse for one command.

    Args:
        name: of the command, such as ``"extract"``.
        words: what follows it on the command line, for the usage line.
        description: of the command; its first sentences are all that ``--help`` shows beside the options.
        examples: command lines, one a line.
        status: what the exit status says.
    """

    def __init__(
        self, name: str, words: str, description: str, examples: str = "", status: str = EXIT_STATUS
    ) -> None:
        parts = [f"examples:\n{_indented(examples)}"] if examples else []
        super().__init__(
            prog=f"{PROGRAM} {name}",
            usage=f"{PROGRAM} {name} {words}",
            description=description,
            epilog="\n".join([*parts, status.rstrip()]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.rare = self.add_argument_group(RARE)
        self.add_argument("-h", "--help", action=_Help, help="show the usual options")
        self.add_argument("--help-all", action=_Help, help="show all options")
        self.rare.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def format_help(self, everything: bool = False) -> str:
        """Return the help text, without the rare options unless ``everything`` is asked for."""
        groups = self._action_groups
        if not everything:
            self._action_groups = [group for group in groups if group is not self.rare]
        try:
            return super().format_help()
        finally:
            self._action_groups = groups

    def parse_args(  # type: ignore[override]  # argparse overloads it for namespaces of other kinds
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return the parsed words; unknown flags are refused with the flag that is nearest."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].partition("=")[0]
            self.error(f"unknown option {flag!r}{nearest(flag, self._option_string_actions)}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how the command is used, and leave with status 2."""
        print(f"error: {message}\nusage: {self.usage} (all options: {self.prog} --help-all)", file=sys.stderr)
        raise SystemExit(WRONG_USE)


class _Help(argparse.Action):
    """Print the help and leave; ``--help-all`` prints the rare options too."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: str | None = None
    ) -> NoReturn:
        assert isinstance(parser, CommandParser)
        show_help(parser.format_help(everything=option_string == "--help-all"))


def show_help(text: str) -> NoReturn:
    """Print a help text and leave with status 0; a reader that leaves before its end is no error."""
    try:
        print(text.rstrip(), flush=True)
    except BrokenPipeError:
        close_output()
    raise SystemExit(0)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether another name was meant, where one is near enough; otherwise nothing."""
    bare = {one.lstrip("-").replace("_", "-"): one for one in known}
    found = get_close_matches(name.lstrip("-").replace("_", "-"), bare, n=1, cutoff=0.7)
    return f"; did you mean {bare[found[0]]}?" if found else ""


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.strip().splitlines())
