"""The command ``diffusion-ner``: its first argument names what to do.

diffusion-ner extract --labels "person" "Ada Lovelace wrote."
"""

import sys
from collections.abc import Sequence

from .extract import main as extract

COMMANDS = {"extract": extract}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    name, *arguments = list(sys.argv[1:] if argv is None else argv) or [""]
    if name not in COMMANDS:
        print(f"usage: diffusion-ner {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    return COMMANDS[name](arguments)


if __name__ == "__main__":
    sys.exit(main())
