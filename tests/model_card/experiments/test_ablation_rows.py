"""Rows that need training: their flags exist, their budgets are equal, their names are their own."""

from pathlib import Path

import pytest
from trl import ModelConfig, TrlParser

from dataset_builder.mix.built import type_names
from model_card.experiments.train_ablations import command
from model_card.experiments.training_rows import REFERENCE, ROWS, scores_path
from model_card.speed.energy import energy
from modeling.training.arguments import DiffusionArguments
from modeling.training.run import RunArguments


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.slug)
def test_train_sft_knows_every_flag(row, tmp_path: Path) -> None:
    words = command(row, tmp_path / "out", tmp_path / "reference", tmp_path / "mix", "encoder", 600)
    assert words[1].endswith("train_sft.py")
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])
    run, arguments, model = parser.parse_args_and_config([*words[2:], "--bf16", "False", "--use_cpu"])
    assert (arguments.max_steps, arguments.seed, run.data) == (600, 0, str(tmp_path / "mix"))
    assert arguments.tokens_per_batch > 0
    # Going on from the reference means loading it, starting anew means the encoder.
    assert (run.new_pointer_from is None) == (row.start == "reference")
    assert (model.model_name_or_path == str(tmp_path / "reference")) == (row.start == "reference")


def test_rows_have_folders_of_their_own(tmp_path: Path) -> None:
    assert ROWS[0] is REFERENCE
    assert len({scores_path(tmp_path, row, None) for row in ROWS}) == len(ROWS)


def test_types_of_a_mix_with_their_coarse_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"sources\.json does not exist"):
        type_names(tmp_path)
    text = '{"a": {"types": ["poet", "city"], "coarse": {"poet": "person"}}, "b": {"types": ["city"]}}'
    (tmp_path / "sources.json").write_text(text)
    assert type_names(tmp_path) == ["city", "person", "poet"]


def test_energy_is_power_over_time() -> None:
    assert energy([(0, 100.0), (1800, 100.0), (3600, 300.0)]) == pytest.approx(0.05 + 0.1)
    assert energy([(0, 100.0)]) == 0
