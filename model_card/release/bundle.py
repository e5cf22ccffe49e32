"""The code of a model repository: the denoising loop and what runs with it, side by side in one folder.

transformers loads a repository's code file by file and follows ``from .x import y`` alone. The loop is
written so (``modeling/custom_generate``). The modules that the pipeline needs lie in other rooms, so their
copies have ``from ..room.x import`` turned into ``from .x import``. Nothing else of them changes.
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

_IMPORT = re.compile(r"^(\s*)from (\.+)([\w.]+) import", re.MULTILINE)


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
                f"the module {name}.py and {FOLDER}/{name}.py cannot lie in one folder: rename one"
            )
        (target / f"{name}.py").write_text(source, encoding="utf-8")
    return sorted(path.name for path in target.glob("*.py"))


def flat_modules(roots: tuple[str, ...]) -> dict[str, str]:
    """Return the sources of modules and of all they import from ``modeling``, with flat imports.

    Args:
        roots: modules of ``modeling`` as paths without suffix, such as ``"integrations/pipeline"``.

    Raises:
        BundleError: a module imports what is no module of ``modeling``, or two modules would have one name.
    """
    sources: dict[str, str] = {}
    paths: dict[str, Path] = {}
    waiting = [MODELING / f"{root}.py" for root in roots]
    while waiting:
        path = waiting.pop()
        if paths.get(path.stem) == path:
            continue
        if path.stem in paths:
            raise BundleError(f"{path} and {paths[path.stem]} would lie in one folder: rename one")
        source = path.read_text(encoding="utf-8")
        imported = [_module_path(path, match[2], match[3]) for match in _IMPORT.finditer(source)]
        waiting += [other for other in imported if other.parent != GENERATION]
        paths[path.stem] = path
        sources[path.stem] = _IMPORT.sub(_flat, source)
    return dict(sorted(sources.items()))


def _flat(match: re.Match[str]) -> str:
    return f"{match[1]}from .{match[3].rpartition('.')[2]} import"


def _module_path(path: Path, dots: str, module: str) -> Path:
    """Return the file of a relative import in ``path``."""
    found = path.parents[len(dots) - 1].joinpath(*module.split(".")).with_suffix(".py")
    if not found.is_file():
        raise BundleError(f"{path} imports {dots}{module}, which is no module of {MODELING.name}")
    return found


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
