"""Layers: made from labelled texts, written without texts, joined with their sources again."""

import gzip
import json
from pathlib import Path

import pytest

from dataset_builder.open_types.align import Corpus, align, without_placeholders
from dataset_builder.open_types.layers import PACKAGE, Layer, join, read_layers, text_hash, write_layers
from dataset_builder.open_types.passage import OpenMention
from dataset_builder.open_types.texts import PLAIN_FILES, Document, TextFolders
from tests.dataset_builder.test_mix import write_set
from tests.dataset_builder.test_mix_pile import write_pile

TWEET = "Ann , {{USERNAME}} and {@The-Band@} won 46 % ( $ 5 ) !"
PASSAGE = "Ann met Bob in Rome . They left by train ."


@pytest.fixture
def folders(tmp_path: Path) -> TextFolders:
    """Texts of four sources."""
    sets = tmp_path / "sets"
    sets.mkdir()
    write_set(sets, "gner_TweetNER7", ("Nothing here .", []), (TWEET, []))
    pile = write_pile(tmp_path / "pile.json.gz", (PASSAGE, {"person": ["Ann"], "river": []}))
    with gzip.open(tmp_path / PLAIN_FILES["openstax"], "wt", encoding="utf-8") as file:
        file.write("A  first line.\nMarie Curie won it in “1911”.\n")
    return TextFolders(ner_mix=sets, pile=pile, plain=tmp_path)


def labelled(text: str, *mentions: tuple[str, str]) -> dict[str, object]:
    """A labelled text, each mention at its first place."""
    entities = [
        {"start": text.index(span), "end": text.index(span) + len(span), "types": types.split("|")}
        for span, types in mentions
    ]
    return {"text": text, "entities": entities}


def make(folders: TextFolders, source: str, identity: str, row: dict[str, object]) -> Layer:
    row = without_placeholders(row)
    texts = folders.texts(source)
    assert texts is not None
    found = Corpus(texts).find("".join(filter(str.isalnum, str(row["text"]).casefold())), None)
    assert found is not None
    layer = align(row, texts[found[0]], *found, source, identity)
    assert layer is not None
    return layer


@pytest.fixture
def layers(folders: TextFolders) -> list[Layer]:
    """Layers of three sources, labelled on texts spaced otherwise."""
    tweet = "Ann, {{USERNAME}} and {@The-Band@} won 46% ($5)!"
    return [
        make(
            folders,
            "gner_TweetNER7",
            "social-1",
            labelled(
                tweet, ("Ann", "singer|person"), ("{@The-Band@}", "band"), ("46%", "share"), ("$5", "sum")
            ),
        ),
        make(folders, "pile_ner", "web-1", labelled("They left by train.", ("train", "vehicle"))),
        make(
            folders,
            "openstax",
            "book-1",
            labelled('Marie Curie won it in "1911".', ("Marie Curie", "physicist|person"), ("1911", "year")),
        ),
    ]


def test_a_join_gives_texts_and_mentions_back(
    folders: TextFolders, layers: list[Layer], tmp_path: Path
) -> None:
    assert write_layers(tmp_path / "layers", layers) == {"social": 1, "web": 1, "book": 1}
    read = read_layers(tmp_path / "layers")
    assert sorted(read, key=lambda layer: layer.id) == sorted(layers, key=lambda layer: layer.id)
    joined = join(read, folders)
    assert not joined.missing
    shown = {
        passage.id: (passage.text, [passage.text[m.start : m.end] for m in passage.mentions])
        for passage in joined.passages
    }
    assert shown == {
        "social-1": ("Ann, @user and The-Band won 46% ($5)!", ["Ann", "The-Band", "46%", "$5"]),
        "web-1": ("They left by train.", ["train"]),
        "book-1": ("Marie Curie won it in “1911”.", ["Marie Curie", "1911"]),
    }
    groups = {passage.id: passage.group for passage in joined.passages}
    assert groups == {
        "social-1": "annuserandthebandwon465",
        "web-1": "pile-0",
        "book-1": "mariecuriewonitin1911",
    }


def test_layer_files_hold_no_text_and_always_the_same_bytes(layers: list[Layer], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_layers(tmp_path / name, layers)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        text = gzip.decompress(path.read_bytes()).decode()
        assert not any(word in text for word in ("Marie", "Curie", "Ann", "train"))


def test_a_text_that_moved_is_found_and_one_that_changed_is_named(
    folders: TextFolders, layers: list[Layer]
) -> None:
    assert folders.ner_mix is not None
    write_set(folders.ner_mix, "gner_TweetNER7", (TWEET, []), ("Nothing here .", []))
    moved = join(layers[:1], TextFolders(ner_mix=folders.ner_mix))
    assert [passage.id for passage in moved.passages] == ["social-1"]
    write_set(folders.ner_mix, "gner_TweetNER7", (TWEET.replace("won", "lost"), []))
    changed = join(layers, TextFolders(ner_mix=folders.ner_mix))
    assert changed.passages == []
    assert changed.report() == [
        "gner_TweetNER7: 1 texts left out, no text has the hash (first: social-1)",
        "openstax: 1 texts left out, no folder with them was given (first: book-1)",
        "pile_ner: 1 texts left out, no folder with them was given (first: web-1)",
    ]


def test_positions_do_not_depend_on_spacing() -> None:
    for text in ("a bc, d", "abc,d", " a b\nc ,d"):
        document = Document.of(text)
        assert document.solid == "abc,d"
        start, end = document.span(1, 3)
        assert "".join(text[start:end].split()) == "bc"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mentions": [[0, 2, "a"], [1, 3, "b"]]}, "overlaps another"),
        ({"mentions": [[0, 9, "a"]]}, "leaves the window"),
        ({"mentions": [[0, 2, "A type"]]}, "lower-case"),
        ({"extra": 1}, "keys"),
    ],
)
def test_a_bad_layer_is_named_with_its_file(tmp_path: Path, change: dict[str, object], message: str) -> None:
    row = {"id": "x-1", "source": "s", "row": 0, "window": [0, 5], "hash": text_hash("abcde"), "mentions": []}
    with gzip.open(tmp_path / "x.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({**row, **change}) + "\n")
    with pytest.raises(ValueError, match=message) as error:
        read_layers(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'x.jsonl.gz'}:1: ")


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    layer = Layer("x-1", "nowhere", 0, (0, 1), text_hash("a"), (OpenMention(0, 1, ("a",)),))
    with pytest.raises(ValueError, match="'nowhere'"):
        join([layer], TextFolders(ner_mix=tmp_path))


def test_the_layers_of_the_repository_join_with_the_reference_data(shared: Path) -> None:
    layers = [layer for layer in read_layers(PACKAGE / "layers") if layer.source.startswith(("snips", "bio"))]
    assert len(layers) > 900
    joined = join(layers, TextFolders(ner_mix=shared / "data" / "ner_mix"))
    assert not joined.missing
    assert len(joined.passages) == len(layers)
