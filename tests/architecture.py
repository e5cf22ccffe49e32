"""The shape of the house in figures: what a reader walks through, what is declared twice, who imports whom.

    python -m tests.architecture

Each figure is counted on the tree: files by running a text and a training row under a tracer, the others by
reading the sources.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODELING = ROOT / "modeling"
LIBRARY = ("modeling", "dataset_builder", "metric", "space_app", "model_card")
# Who may import whom: a room imports from its own floor and from those below.
FLOORS = (
    ("cli",),
    ("training", "corpus", "integrations"),
    ("extraction",),
    ("backbones", "canvas"),
    ("custom_generate",),
)
# Options of a call that decode, each with one default.
OPTIONS = (
    "steps",
    "schedule",
    "algorithm",
    "confidence_threshold",
    "entropy_bound",
    "fit_canvas",
    "compact",
    "pad_penalty",
    "remasking",
    "temperature",
    "outside_bias",
)


@dataclass(frozen=True)
class Import:
    """One import inside ``modeling``: the file, its room, the room that it imports from."""

    path: Path
    room: str
    imported: str


def sources(*folders: str) -> Iterator[Path]:
    """Yield the library's Python files."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def floor(room: str) -> int:
    """Return the number of a room's floor, 0 at the top."""
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports() -> Iterator[Import]:
    """Yield the imports between rooms of ``modeling``, those inside functions too."""
    rooms = {room for rooms in FLOORS for room in rooms}
    for path in sources("modeling"):
        parts = path.relative_to(MODELING).parts
        if len(parts) < 2 or parts[0] not in rooms:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
                target = node.module.split(".")[0]
                if target in rooms:
                    yield Import(path, parts[0], target)


def against_the_floors() -> list[str]:
    """Return the imports that go up."""
    return [
        f"{one.path.relative_to(ROOT)} imports {one.imported}"
        for one in imports()
        if floor(one.imported) < floor(one.room)
    ]


def absolute_imports() -> list[str]:
    """Return the files of ``modeling`` that import it by its absolute name."""
    found = []
    for path in sources("modeling"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            if any(name.split(".")[0] in ("modeling", "diffusion_ner") for name in names):
                found.append(str(path.relative_to(ROOT)))
    return found


def declared_defaults() -> dict[str, list[str]]:
    """Return where each decoding option has a default other than None (which leaves it to another place)."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources("modeling"):
        if path.is_relative_to(MODELING / "training"):  # its schedule is that of the noise
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name, value in _defaults(node):
                if name in OPTIONS and not _leaves_it(value):
                    places[name].append(f"{path.relative_to(ROOT)}:{value.lineno}")
    return dict(places)


def _leaves_it(value: ast.expr) -> bool:
    """Return whether a default is None, by itself or as that of a config's ``option(None, ...)``."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "option":
        value = value.args[0]
    return isinstance(value, ast.Constant) and value.value is None


def _defaults(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.FunctionDef):
        plain = node.args.posonlyargs + node.args.args
        yield from (
            (arg.arg, value)
            for arg, value in zip(
                plain[len(plain) - len(node.args.defaults) :], node.args.defaults, strict=True
            )
        )
        pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        yield from ((arg.arg, value) for arg, value in pairs if value is not None)
    elif isinstance(node, ast.ClassDef):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and field.value and isinstance(field.target, ast.Name):
                yield field.target.id, field.value


def loop_drivers() -> list[str]:
    """Return where a loop walks over the denoising steps of a task."""
    found = []
    for path in sources("modeling", "model_card"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
                called = node.iter.func
                if isinstance(called, ast.Attribute) and called.attr == "steps":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def commands() -> list[str]:
    """Return the modules that run as a program."""
    found = []
    for path in [*sources(*LIBRARY), ROOT / "train_sft.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guarded = any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)
        if guarded or path.name == "__main__.py":
            found.append(str(path.relative_to(ROOT)))
    return found


def library_lines() -> dict[str, int]:
    """Return the number of lines of the library's Python files by folder."""
    return {
        folder: sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources(folder))
        for folder in LIBRARY
    }


def calls(run: Callable[[], Any]) -> list[tuple[str, str, str]]:
    """Run a function; return the calls into files of ``modeling``: (caller's file, file, function) each."""
    made: list[tuple[str, str, str]] = []
    inside = str(MODELING)

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(inside):
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(inside):
            caller = caller.f_back
        origin = caller.f_code.co_filename if caller is not None else ""
        made.append((origin, frame.f_code.co_filename, frame.f_code.co_name))

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return made


def text_path() -> tuple[set[str], int]:
    """Return the files that one text passes on the aligned canvas, and how many pairs of them call."""
    from modeling import EntityExtractor

    extractor = EntityExtractor.from_pretrained(device="cpu")
    text, labels = "Ada Lovelace wrote to Charles Babbage in London.", ["person", "city"]
    extractor.predict_entities(text, labels)
    made = calls(lambda: extractor.predict_entities(text, labels))
    pairs = {(origin, file) for origin, file, _ in made if origin and origin != file}
    return {str(Path(file).relative_to(ROOT)) for _, file, _ in made}, len(pairs)


def row_path() -> set[str]:
    """Return the files that the rows of one step pass: from the loss of a batch to that of the next."""
    from tests.modeling.smoke import train

    with tempfile.TemporaryDirectory() as folder:
        made = calls(lambda: train(Path(folder), steps=16))
    losses = [i for i, (_, _, function) in enumerate(made) if function == "compute_loss"]
    return {str(Path(file).relative_to(ROOT)) for _, file, _ in made[losses[1] : losses[2]]}


def report() -> Iterator[tuple[str, str]]:
    """Yield (what, figure) pairs."""
    files, changes = text_path()
    yield "files a text passes", f"{len(files)}"
    yield "pairs of them of which one calls the other", f"{changes}"
    yield "files a training row passes", f"{len(row_path())}"
    yield (
        "most places that declare one decoding option's default",
        str(max(len(places) for places in declared_defaults().values())),
    )
    yield "drivers of the denoising loop", f"{len(loop_drivers())}"
    yield "programs", f"{len(commands())}"
    lines = library_lines()
    yield "library lines", f"{sum(lines.values()):,} ({', '.join(f'{k} {v:,}' for k, v in lines.items())})"
    for name in ("README.md", "modeling/mini/README.md"):
        yield f"lines of {name}", str(len((ROOT / name).read_text(encoding="utf-8").splitlines()))
    yield "imports against the floors", str(len(against_the_floors()))
    flat = Counter(path.parent for path in sources(*LIBRARY))
    folder, most = flat.most_common(1)[0]
    yield "most files of one folder", f"{most} ({folder.relative_to(ROOT)})"


if __name__ == "__main__":
    for what, figure in report():
        print(f"{what:<56} {figure}")
