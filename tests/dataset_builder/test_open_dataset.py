"""The published data set of passages with open types."""

from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

from dataset_builder.open_types.__main__ import main
from dataset_builder.open_types.dataset import figures_of, render_documents, split_passages, write_dataset
from dataset_builder.open_types.layers import PACKAGE, Layer, read_layers, text_hash, write_layers
from dataset_builder.open_types.passage import OpenMention
from dataset_builder.open_types.written import read_written

LINES = tuple(
    f"bill [{n}|invoice number|code]\\nof [May {n}|date], a [red|colour] [hat {n}|hat]" for n in range(90)
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ninety passages of two genres and one layer."""
    folder = tmp_path / "data"
    (folder / "written").mkdir(parents=True)
    (folder / "written" / "bills.txt").write_text("\n".join(LINES[:60]) + "\n", encoding="utf-8")
    (folder / "written" / "notes.txt").write_text("\n".join(LINES[60:]) + "\n", encoding="utf-8")
    mention = OpenMention(0, 3, ("town", "place"))
    write_layers(folder / "layers", [Layer("wiki-1", "aptner", 7, (0, 3), text_hash("Lom"), (mention,))])
    return folder


def test_the_data_set_loads_with_every_passage(data: Path, tmp_path: Path) -> None:
    output = write_dataset(tmp_path / "out", data)
    loaded = load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation"}
    passages = {passage.id: passage for passage in read_written(data / "written")}
    rows = [row for split in loaded.values() for row in split]
    assert {row["id"] for row in rows} == set(passages)
    for row in rows:
        passage = passages[row["id"]]
        assert (row["genre"], row["text"]) == (passage.genre, passage.text)
        found = [(e["start"], e["end"], e["text"], tuple(e["types"])) for e in row["entities"]]
        assert found == [(m.start, m.end, passage.text[m.start : m.end], m.types) for m in passage.mentions]
    assert read_layers(output / "layers") == read_layers(data / "layers")


def test_the_same_data_give_the_same_bytes(data: Path, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        output = write_dataset(tmp_path / name, data)
        files.append(
            {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
        )
    assert files[0] == files[1]
    write_dataset(tmp_path / "one", data)
    assert (tmp_path / "one" / "README.md").read_bytes() == files[0]["README.md"]


def test_a_folder_of_other_files_is_kept(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.txt").write_text("mine")
    assert main(["--output", str(tmp_path / "mine"), "--data", str(data)]) == 1
    assert "holds files that no build wrote" in capsys.readouterr().err
    assert (tmp_path / "mine" / "file.txt").read_text() == "mine"


def test_counts_of_card_and_datasheet_come_from_the_data(data: Path) -> None:
    passages = read_written(data / "written")
    documents = render_documents(split_passages(passages), read_layers(data / "layers"))
    card, sheet = documents["README.md"], documents["DATASHEET.md"]
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert [file["split"] for file in head["configs"][0]["data_files"]] == ["train", "validation"]
    assert "| bills | 60 | 240 | 5 | 9 |" in card
    assert "| notes | 30 | 120 | 5 | 9 |" in card
    assert "| wiki | 1 | 1 | 2 |" in card
    assert "90 English passages" in card
    assert "invoice number (90), code (90), date (90), colour (90), hat (90)." in card
    assert "90 passages in 2 files, with 360 mentions of 5 type names" in sheet
    assert not sheet.startswith("---")
    fewer = render_documents(split_passages(passages[:59]), read_layers(data / "layers"))
    assert "59 English passages" in fewer["README.md"]


def test_figures_of_nothing() -> None:
    figures = figures_of([])
    assert (figures.texts, figures.mentions, figures.once) == (0, 0, 0)


def test_the_repository_has_a_data_set(tmp_path: Path) -> None:
    splits = split_passages(read_written(PACKAGE / "written"))
    share = len(splits["validation"]) / sum(map(len, splits.values()))
    assert share == pytest.approx(0.05, abs=0.01)
    documents = render_documents(splits, read_layers(PACKAGE / "layers"))
    for text in documents.values():
        assert "{{" not in text
        assert "{%" not in text
