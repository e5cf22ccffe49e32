"""The shape of the house stays as simple as it is: each figure of ``tests.architecture`` has a ceiling."""

from __future__ import annotations

from collections import Counter

import pytest

from tests import architecture

# Ceilings are today's figures: they may fall, never rise.
TEXT_FILES, TEXT_PAIRS = 24, 41  # aims: 12 and 20
ROW_FILES = 17
PROGRAMS = 24  # aim: 14
FOLDER_FILES = 24
FILE_LINES = 400


def test_no_room_imports_one_above_it():
    assert architecture.against_the_floors() == []
    assert len(list(architecture.imports())) > 50  # the check sees the imports


def test_modeling_never_imports_itself_by_its_absolute_name():
    assert architecture.absolute_imports() == []


def test_every_decoding_option_has_one_default():
    places = architecture.declared_defaults()
    assert {option: found for option, found in places.items() if len(found) != 1} == {}
    assert set(places) == set(architecture.OPTIONS)


def test_one_place_drives_the_denoising_loop():
    assert [place.split(":")[0] for place in architecture.loop_drivers()] == [
        "modeling/custom_generate/rounds.py"
    ]


def test_no_file_of_the_library_is_long():
    lengths = {
        str(path.relative_to(architecture.ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in architecture.sources(*architecture.LIBRARY)
    }
    assert {path: lines for path, lines in lengths.items() if lines >= FILE_LINES} == {}


def test_no_folder_is_a_flat_pile():
    files = Counter(path.parent for path in architecture.sources(*architecture.LIBRARY))
    assert {str(folder): count for folder, count in files.items() if count > FOLDER_FILES} == {}


def test_there_are_no_more_programs():
    assert len(architecture.commands()) <= PROGRAMS


def test_a_text_passes_no_more_files():
    files, pairs = architecture.text_path()
    assert len(files) <= TEXT_FILES, sorted(files)
    assert pairs <= TEXT_PAIRS


def test_a_training_row_passes_no_more_files():
    pytest.importorskip("trl")
    files = architecture.row_path()
    assert len(files) <= ROW_FILES, sorted(files)
