"""Every link inside the artefacts must lead to a file of theirs."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from model_card.release.artefact import KINDS, Artefact

HUB = "https://huggingface.co/"
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
_TYPES = {"datasets": "dataset", "spaces": "space"}


def link_problems(artefact: Artefact, others: list[Artefact]) -> Iterator[str]:
    """Yield the links of an artefact's Markdown that lead nowhere.

    Relative links must be files of the artefact; links to the release's namespace on the Hub must be
    artefacts, and files of theirs where they name one. Links to anyone else's pages are not followed.
    """
    for name, path in artefact.files.items():
        if not name.endswith(".md"):
            continue
        for match in _LINK.finditer(path.read_text(encoding="utf-8")):
            target = (match[1] or match[2]).split("#")[0]
            if not target or target.startswith("mailto:"):
                continue
            if target.startswith(HUB + artefact.namespace) or re.match(
                rf"{HUB}(?:datasets|spaces)/{re.escape(artefact.namespace)}/", target
            ):
                if not _on_hub(target.removeprefix(HUB), artefact.namespace, others):
                    yield f"{name} links to {target}, which is no artefact of this release, or no file of it"
            elif "://" not in target:
                file = normpath((PurePosixPath(name).parent / target).as_posix())
                if file not in artefact.files and not any(f.startswith(f"{file}/") for f in artefact.files):
                    yield f"{name} links to {target}, which is no file of this artefact"


def _on_hub(address: str, namespace: str, others: list[Artefact]) -> bool:
    """Return whether an address such as ``datasets/ORG/NAME/blob/main/FILE`` is part of the release."""
    parts = address.rstrip("/").split("/")
    repo_type = _TYPES.get(parts[0], "model")
    if parts[0] in _TYPES:
        parts = parts[1:]
    if parts == [namespace]:
        return True
    kind = next((k for k in KINDS.values() if (k.repo_type, k.name) == (repo_type, parts[1])), None)
    if kind is None or len(parts) == 2:
        return kind is not None
    if len(parts) < 5 or parts[2] not in ("blob", "resolve", "raw"):
        return False
    assembled = next((other for other in others if other.kind is kind), None)
    return assembled is None or "/".join(parts[4:]) in assembled.files
