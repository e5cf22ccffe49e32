"""Writes records in the schema of Pile-NER-type, whole and broken."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def record(
    record_id: Any, text: str, answers: Mapping[str, Sequence[Any] | str] | None = None
) -> dict[str, Any]:
    """Return a record; an answer that is a string is taken as it stands."""
    turns = [{"from": "human", "value": f"Text: {text}"}, {"from": "gpt", "value": "I've read this text."}]
    for name, answer in (answers or {}).items():
        turns.append({"from": "human", "value": f"What describes {name} in the text?"})
        turns.append({"from": "gpt", "value": answer if isinstance(answer, str) else json.dumps(answer)})
    return {"id": record_id, "conversations": turns}


def write_source(path: Path, records: Iterable[Any]) -> Path:
    """Write records as one JSON array."""
    path.write_text(json.dumps(list(records)), encoding="utf-8")
    return path


def small_source(path: Path, count: int = 40) -> Path:
    """Write a few dozen different, sound records."""
    cities = ("Oslo", "Lima", "Cairo", "Kyoto", "Quito")
    records = []
    for number in range(count):
        city = cities[number % len(cities)]
        text = (
            f"Note {number}: engineer Ana {chr(65 + number % 26)}. Moreno went to {city} in {1900 + number}. "
            f"She built {number + 2} bridges there, and {city} named a street after her in {1950 + number}."
        )
        answers = {
            "person": [f"Ana {chr(65 + number % 26)}. Moreno"],
            "location": [city],
            "date": [str(1900 + number), str(1950 + number)],
            ("job", "profession", "occupation", "role", "title")[number % 5]: ["engineer"],
            "weapon": [],
            ("animal", "protein", "film")[number % 3]: [],
        }
        records.append(record(f"small-{number}", text, answers))
    return write_source(path, records)
