"""The installed versions of packages: all of them as pins, or those that we name ourselves as JSON.

python -m tests.versions > constraints.txt
python -m tests.versions --json model_card/results/drift.json
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from datetime import datetime, timezone
from importlib.metadata import distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = {"pip", "setuptools", "wheel"}
HEAD = """\
# The versions of all packages that `make demo` and `make test` install. Made by `make constraints`.
# On Linux with a GPU build of torch, pip adds the CUDA packages that this torch itself pins.
"""


def normalized(name: str) -> str:
    """Return a package's name as the index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Return the version of every installed package but pip's own, without the build's local part."""
    found = {normalized(one.metadata["Name"]): one.version.partition("+")[0] for one in distributions()}
    return {name: found[name] for name in sorted(found) if name not in TOOLS}


def named() -> list[str]:
    """Return the packages that the requirements of the suite name, in alphabetical order."""
    names: set[str] = set()
    waiting = ["requirements-dev.txt"]
    while waiting:
        for line in (ROOT / waiting.pop()).read_text(encoding="utf-8").splitlines():
            if line.startswith("-r "):
                waiting.append(line[3:].strip())
            elif line and not line.startswith("#"):
                names.add(normalized(re.split(r"[\[<>=!~; ]", line)[0]))
    return sorted(names)


def main() -> int:
    """Print pins, or write a report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file to write date, Python and the named packages to")
    arguments = parser.parse_args()
    if arguments.json is None:
        sys.stdout.write(HEAD + "".join(f"{name}=={number}\n" for name, number in pins().items()))
        return 0
    report = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in named()},
    }
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
