"""The package: what its wheel holds, that the base dependencies suffice, that all imports are declared."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import modeling
from tests.conftest import REPOSITORY

tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
LARGEST = 60 * 10**6  # bytes
# What a room may import beside the base dependencies. Elsewhere the rest is imported inside functions alone.
ROOMS = {"modeling/training": "train", "modeling/corpus": "ray", "modeling/integrations/spacy": "spacy"}
OURS = {
    "modeling",
    "diffusion_ner",
    "dataset_builder",
    "metric",
    "model_card",
    "space_app",
    "tests",
    "train_sft",
}
DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow", "sklearn": "scikit-learn"}
UNDECLARED = {"selenium"}  # the tests that use it run where somebody installed it and a browser
# Of folders that run as scripts from their own: siblings.
SIBLINGS = {
    path.stem for folder in ("metric/entity_f1", "space_app") for path in (REPOSITORY / folder).glob("*.py")
}

USE = """
import json, sys
import diffusion_ner
from diffusion_ner.cli.main import main
from importlib.util import find_spec

extractor = diffusion_ner.EntityExtractor.from_pretrained(device="cpu")
found = extractor.predict_entities("Ada Lovelace wrote to Charles Babbage.", ["person"])

def refusal(use):
    try:
        use()
    except ImportError as error:
        return str(error)

adapter = sys.argv[1]
result = {
    "file": diffusion_ner.__file__,
    "found": [entity["text"] for entity in found],
    "there": [name for name in ("peft", "trl", "datasets", "accelerate", "evaluate") if find_spec(name)],
    "training": refusal(lambda: __import__("diffusion_ner.training.run")),
    "corpus": refusal(lambda: __import__("diffusion_ner.corpus.documents")),
    "adapter": refusal(lambda: diffusion_ner.load_model(adapter)),
    "status": main(["extract", "--json", "--device", "cpu", "--labels", "person", "Ada Lovelace wrote."]),
}
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built out of a copy of the sources with the installed setuptools."""
    setuptools = pytest.importorskip("setuptools", reason="the build needs setuptools")
    if Version(setuptools.__version__) < Version("77"):
        pytest.skip(f"the build needs setuptools 77, not {setuptools.__version__}")
    work = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, work)
    shutil.copytree(REPOSITORY / "modeling", work / "modeling", ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=work, check=True, capture_output=True, timeout=120)
    (found,) = (work / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a process says that has the unpacked wheel, the base dependencies, and all they need."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    link_distributions(PROJECT["dependencies"], site)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "adapter").mkdir()
    (elsewhere / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    done = subprocess.run(
        [sys.executable, "-S", "-c", USE, "adapter"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, said = done.stdout.splitlines()
    return {**json.loads(said), "site": site, "answers": lines}


def link_distributions(requirements: list[str], site: Path) -> None:
    """Link into a folder the installed distributions that these requirements lead to."""
    waiting = [Requirement(one) for one in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) in seen:
                continue
            seen.add((requirement.name, extra))
            distribution = metadata.distribution(requirement.name)
            for needed in map(Requirement, distribution.requires or []):
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
            for top in {file.parts[0] for file in distribution.files or []}:
                source = Path(str(distribution.locate_file(top)))
                if top not in ("..", "__pycache__") and source.exists() and not (site / top).exists():
                    (site / top).symlink_to(source)


def test_the_wheel_holds_the_library_and_the_embedded_model(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = (REPOSITORY / "modeling").rglob("*")
    wanted = [
        p for p in sources if p.suffix in (".py", ".yaml", ".json", ".safetensors") or p.name == "py.typed"
    ]
    missing = [
        p for p in wanted if f"diffusion_ner/{p.relative_to(REPOSITORY / 'modeling').as_posix()}" not in names
    ]
    assert not missing
    assert "diffusion_ner/py.typed" in names
    others = {name.split("/")[0] for name in names} - {"diffusion_ner"}
    assert {name.partition("-")[2] for name in others} == {f"{modeling.__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".png", ".gif"))]
    assert wheel.stat().st_size <= LARGEST


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        folder = f"diffusion_ner_zero-{modeling.__version__}.dist-info"
        said = Parser().parsestr(file.read(f"{folder}/METADATA").decode())
        commands = file.read(f"{folder}/entry_points.txt").decode()
        notice = file.read(f"{folder}/licenses/NOTICE").decode()
    assert said["License-Expression"] == "Apache-2.0 AND CC-BY-NC-4.0"
    assert "CC BY-NC 4.0" in notice
    assert set(said.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert "diffusion-ner = diffusion_ner.cli.main:main" in commands


def test_the_base_dependencies_suffice_to_extract(installed: dict) -> None:
    assert Path(installed["file"]) == installed["site"] / "diffusion_ner" / "__init__.py"
    assert installed["there"] == []
    assert installed["found"] == ["Ada Lovelace", "Charles Babbage"]
    assert installed["status"] == 0
    assert json.loads(installed["answers"][-1])["entities"][0]["text"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("use", "extra"), [("training", "train"), ("corpus", "ray"), ("adapter", "adapters")]
)
def test_what_is_missing_is_named_with_its_extra(installed: dict, use: str, extra: str) -> None:
    assert f'pip install "diffusion-ner-zero[{extra}]"' in installed[use]
    assert extra in PROJECT["optional-dependencies"]


def test_a_room_imports_what_its_extra_declares() -> None:
    base = names_of(PROJECT["dependencies"])
    extras = {name: names_of(own) for name, own in PROJECT["optional-dependencies"].items()}
    for path in sorted((REPOSITORY / "modeling").rglob("*.py")):
        place = path.relative_to(REPOSITORY).as_posix()
        room = next((extra for prefix, extra in ROOMS.items() if place.startswith(prefix)), None)
        allowed = base | (extras[room] if room else set())
        at_import = set(third_party(path, inside=False))
        assert at_import <= allowed, f"{place} imports {sorted(at_import - allowed)} when it is imported"
        anywhere = set(third_party(path)) - allowed.union(*extras.values())
        assert not anywhere, f"{place} imports {sorted(anywhere)}, which no extra declares"
        assert not OURS & set(imported(path)), (
            f"{place} imports its own project by name; use a relative import"
        )


def test_the_repository_imports_what_its_requirements_declare() -> None:
    declared = {
        name
        for file in REPOSITORY.glob("requirements*.txt")
        for name in names_of([line for line in file.read_text("utf-8").splitlines() if re.match(r"\w", line)])
    }
    roots = [REPOSITORY / name for name in sorted(OURS - {"diffusion_ner", "train_sft"})]
    paths = [REPOSITORY / "train_sft.py", *(path for root in roots for path in root.rglob("*.py"))]
    found = {name: path for path in paths for name in third_party(path) if name not in declared | UNDECLARED}
    assert not found


def test_package_and_development_have_the_same_ranges() -> None:
    lines = (REPOSITORY / "requirements.txt").read_text("utf-8").splitlines()
    ranges = {canonicalize_name(r.name): r for r in map(Requirement, filter(re.compile(r"\w").match, lines))}
    for one in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["train"]):
        name = canonicalize_name(one.name)
        if name == "torch":  # one release in development
            (pinned,) = ranges[name].specifier
            assert one.specifier.contains(pinned.version)
        else:
            assert one.specifier == ranges[name].specifier, name


def test_one_version_everywhere() -> None:
    version = modeling.__version__
    citation = (REPOSITORY / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {version}\n" in citation
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert next(name for name in headings if name != "Unreleased") == version


def names_of(requirements: list[str]) -> set[str]:
    """Return the distributions that requirements name."""
    return {canonicalize_name(Requirement(one).name) for one in requirements}


def third_party(path: Path, inside: bool = True) -> Iterator[str]:
    """Yield the distributions that a file imports; without ``inside`` only what importing it imports."""
    for name in imported(path, inside):
        if name not in OURS | SIBLINGS | set(sys.stdlib_module_names):
            yield str(canonicalize_name(DISTRIBUTIONS.get(name, name)))


def imported(path: Path, inside: bool = True) -> Iterator[str]:
    """Yield the top-level modules that a file imports by absolute name."""
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        if inside or not deferred:
            waiting += ast.iter_child_nodes(node)
