"""Writes the rows of all sources, ``sources.json`` and ``report.json``, as a whole or not at all."""

import gzip
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset_builder.mix.built import entity_names
from dataset_builder.mix.hashing import stable_hash
from dataset_builder.mix.parts import Part


def in_validation(group: str, seed: int, share: float) -> bool:
    """Whether the rows of a group are held back for validation."""
    return stable_hash(f"{seed}:split:{group}") < share * 2**64


def write_mix(
    output: Path, parts: Sequence[Part], seed: int, validation: float, hold_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Write the folder of a mix; an existing one is replaced when everything has been written.

    Args:
        output: folder to write.
        parts: the sources, in the order in which they are written.
        seed: decides the split and the spacing of the texts.
        validation: share of the groups held back, in [0, 1).
        hold_out: sources written to files of their own.

    Returns:
        the report.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        report = _write_into(folder, parts, seed, validation, hold_out)
        # mkdtemp makes folders private; what is published has the usual permissions.
        folder.chmod(0o755)
        if output.exists():
            old = folder.with_name(folder.name + "-old")
            os.replace(output, old)
            os.replace(folder, output)
            shutil.rmtree(old)
        else:
            os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def open_gzip(path: Path, level: int = 6) -> gzip.GzipFile:
    """Open a gzip file to write, without a name and a time in its header: the bytes depend on the content
    alone.
    """
    return gzip.GzipFile(filename="", mode="wb", fileobj=path.open("wb"), mtime=0, compresslevel=level)


def _write_into(
    folder: Path, parts: Sequence[Part], seed: int, share: float, hold_out: Sequence[str]
) -> dict[str, Any]:
    sources: dict[str, Any] = {}
    per_source: dict[str, Any] = {}
    totals: Counter[str] = Counter()
    names: set[str] = set()
    with open_gzip(folder / "train.jsonl.gz") as train, open_gzip(folder / "validation.jsonl.gz") as held:
        for part in parts:
            counts, types = Counter[str](), Counter[str]()
            held_out = part.name in hold_out
            own = open_gzip(folder / f"heldout_{part.name}.jsonl.gz") if held_out else None
            for group, row in part.render(seed):
                split = "validation" if in_validation(group, seed, share) else "train"
                file = own or (held if split == "validation" else train)
                file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
                counts["heldout" if held_out else split] += 1
                counts["mentions"] += len(row["entities"])
                counts["empty"] += not row["entities"]
                types.update(name for entity in row["entities"] for name in entity_names(entity))
            if own:
                own.close()
            sources[part.name] = part.describe(types)
            per_source[part.name] = {
                "licence": sources[part.name]["licence"],
                "rows_in": part.rows_in,
                "mentions_in": part.mentions_in,
                "rows": len(part),
                **{key: counts[key] for key in ("train", "validation", "heldout", "mentions", "empty")},
                "types": dict(sorted(types.items(), key=lambda item: (-item[1], item[0]))),
                "filters": part.tally.as_dict(),
            }
            totals.update({**counts, "rows": len(part)})
            if not held_out:
                names.update(types)
    report = {
        "seed": seed,
        "totals": {**dict(sorted(totals.items())), "types": len(names)},
        "empty_percent": round(100 * totals["empty"] / max(1, totals["rows"]), 2),
        "sources": per_source,
    }
    for name, content in (("sources.json", sources), ("report.json", report)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return report
