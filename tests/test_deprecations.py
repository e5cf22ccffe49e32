"""The guard tells our deprecated calls from those of others."""

import importlib
import sys
import warnings
from pathlib import Path

import pytest

from tests.deprecations import DeprecatedCall, package_of

LIBRARY = """
import warnings

def old(kind=FutureWarning):
    warnings.warn("old() ends in release 9", kind, stacklevel=2)

def other():
    return old()
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package that is no part of the repository."""
    (tmp_path / "strange_library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("strange_library")
    del sys.modules["strange_library"]


@pytest.mark.parametrize("kind", [FutureWarning, DeprecationWarning, PendingDeprecationWarning])
def test_a_deprecated_call_of_ours_raises(library, kind):
    with pytest.raises(DeprecatedCall, match="ends in release 9"):
        library.old(kind)


def test_other_warnings_only_warn(library):
    with pytest.warns(UserWarning, match="ends"):
        library.old(UserWarning)


def test_a_call_through_torch_is_ours(library):
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def forward(self):
            library.old()

    # The frame below the library's is this test's own module, called by torch.
    with pytest.raises(DeprecatedCall):
        Module()()


def test_a_deprecated_call_between_libraries_only_warns(library, tmp_path, monkeypatch):
    (tmp_path / "calling_library.py").write_text(
        "import strange_library\n\ndef run():\n    strange_library.old()\n"
    )
    calling = importlib.import_module("calling_library")
    with pytest.warns(FutureWarning, match="ends in release 9"):
        calling.run()


def test_an_import_that_warns_is_no_call(library, tmp_path):
    (tmp_path / "warning_library.py").write_text("import strange_library\n\nstrange_library.old()\n")
    with pytest.warns(FutureWarning, match="ends in release 9"):
        importlib.import_module("warning_library")


def test_files_are_of_their_packages():
    assert package_of(__file__) == "ours"
    assert package_of(pytest.__file__) == "pytest"
    assert package_of(warnings.__file__) == ""
