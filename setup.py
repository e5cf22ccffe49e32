"""What pyproject.toml cannot say of the build: the packages under their installed name, the version."""

import re
import subprocess
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
SOURCE, PACKAGE = "modeling", "diffusion_ner"


def version() -> str:
    """Return ``modeling.__version__``, with the commit behind it where that is not the tag of this version.

    Without git, or in a tree of files alone, it is the plain number.
    """
    found = re.search(r'^__version__ = "(.+)"$', (HERE / SOURCE / "__init__.py").read_text("utf-8"), re.M)
    assert found is not None
    plain = found[1]
    if Path(_git("rev-parse", "--show-toplevel") or "/").resolve() != HERE:
        return plain
    described = _git("describe", "--tags", "--always", "--dirty", "--match", f"v{plain}")
    local = described.removeprefix(f"v{plain}").strip("-").replace("-", ".")  # 3.gabc1234, or abc1234
    local = re.sub(r"^(?=[0-9a-f]{7})", "g", local)  # a number alone would lose its leading zeros
    return f"{plain}+{local}" if local else plain


def _git(*arguments: str) -> str:
    """Return what git says, or nothing where it says nothing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


setup(
    version=version(),
    packages=[PACKAGE, *(f"{PACKAGE}.{name}" for name in find_packages(SOURCE))],
    package_dir={PACKAGE: SOURCE},
    # The pictures of the model card stay out: nothing loads them.
    package_data={
        PACKAGE: [
            "py.typed",
            "README.md",
            "configs/*.yaml",
            "mini/*.md",
            "mini/*.json",
            "mini/*.safetensors",
        ]
    },
)
