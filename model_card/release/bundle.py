"""The code of a model repository: the denoising loop and what runs with it, side by side in one folder.

transformers loads a repository's code file by file and follows ``from .x import y`` alone. The loop is
written so (``modeling/custom_generate``); the modules that the pipeline needs import by package name here, so
their copies have ``from modeling.x import`` turned into ``from .x import``. Nothing else of them changes.
"""

import ast
import re
import shutil
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELING = ROOT / "modeling"
GENERATION = MODELING / "custom_generate"
FOLDER = "custom_generate"
ALLOWED = {"torch", "transformers"}

_IMPORT = re.compile(r"^(\s*)from modeling(\.custom_generate)?\.(\w+) import", re.MULTILINE)


class BundleError(ValueError):
    """A module cannot be published by itself; the message names it and why."""


def write_bundle(folder: Path, *roots: str) -> list[str]:
    """Write ``folder/custom_generate`` and return the names of its files.

    Args:
        folder: of the repository.
        roots: modules of ``modeling`` to publish beside the loop, with all that they import.

    Raises:
        BundleError: two modules would have one name.
    """
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(GENERATION.glob("*.py")):
        shutil.copyfile(path, target / path.name)
    for name, source in flat_modules(roots).items():
        if (target / f"{name}.py").exists():
            raise BundleError(
                f"modeling/{name}.py and {FOLDER}/{name}.py cannot lie in one folder: rename one"
            )
        (target / f"{name}.py").write_text(source, encoding="utf-8")
    return sorted(path.name for path in target.glob("*.py"))


def flat_modules(roots: tuple[str, ...]) -> dict[str, str]:
    """Return the sources of modules of ``modeling`` and of all they import from it, with flat imports."""
    sources: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        source = (MODELING / f"{name}.py").read_text(encoding="utf-8")
        waiting += [match[3] for match in _IMPORT.finditer(source) if match[2] is None]
        sources[name] = _IMPORT.sub(r"\1from .\3 import", source)
    return dict(sorted(sources.items()))


def check_imports(path: Path) -> None:
    """Check that a file imports nothing but its siblings, torch, transformers and the standard library.

    Raises:
        BundleError: it imports something else, or a sibling that is not there.
        SyntaxError: it is not Python.
    """
    for level, module in imports_of(path.read_text(encoding="utf-8")):
        if level > 1 or (level == 1 and not (path.parent / f"{module}.py").is_file()):
            raise BundleError(f"{path.name} imports {'.' * level}{module}, which is no file beside it")
        top = module.split(".")[0]
        if level == 0 and top not in ALLOWED | sys.stdlib_module_names:
            raise BundleError(
                f"{path.name} imports {top}, which a model repository may not need: "
                f"use {', '.join(sorted(ALLOWED))} and its siblings"
            )


@cache  # the same file lies in several repositories
def imports_of(source: str) -> tuple[tuple[int, str], ...]:
    """Return the (level, module) pairs that a source imports; level 0 is absolute, 1 a sibling."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or ""))
    return tuple(found)
