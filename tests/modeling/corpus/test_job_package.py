"""The package that Ray sends to its workers has the name by which it is imported, whatever its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")


def test_the_folder_sent_has_the_name_of_the_package(tmp_path: Path) -> None:
    import modeling
    from modeling.corpus.job import package_folder

    with package_folder() as folder:
        assert folder == Path(modeling.__file__).parent
    source = tmp_path / "modeling"
    (source / "corpus" / "__pycache__").mkdir(parents=True)
    (source / "__init__.py").write_text("")
    with package_folder(source, "diffusion_ner") as folder:  # an editable installation
        assert folder.name == "diffusion_ner"
        assert {path.name for path in folder.rglob("*")} == {"__init__.py", "corpus"}
    assert not folder.exists()
    assert source.exists()
