"""Compiles the marked documents of this folder into JSON Lines.

``python -m model_card.documents`` checks ``dev.txt`` and ``test.txt`` and writes ``dev.jsonl`` and
``test.jsonl`` beside them. ``README.md`` describes the fields.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from model_card.documents.markup import parse

FOLDER = Path(__file__).parent
# Documents of each kind, by split.
SPLITS = {"dev": 3, "test": 5}


def compiled(split: str) -> str:
    """Return the JSON Lines of a split, compiled from its marked file. Raises ``ValueError`` as `parse`."""
    documents = parse((FOLDER / f"{split}.txt").read_text(encoding="utf-8"), split)
    return "".join(json.dumps(document.row(), ensure_ascii=False) + "\n" for document in documents)


def main() -> int:
    """Compile both splits; print the faults and return 1 if there are any."""
    try:
        for split in SPLITS:
            (FOLDER / f"{split}.jsonl").write_text(compiled(split), encoding="utf-8")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
