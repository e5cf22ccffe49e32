"""Lengths: the figures against direct counts, and the command from end to end."""

import json

import numpy as np
import pytest
from transformers import AutoTokenizer

from dataset_builder.build import main as build
from dataset_builder.lengths import Lengths, main, measure, passage_pairs
from modeling.canvas.template import render_completion, render_prompt
from tests.dataset_builder.records import small_source


def test_figures_of_known_counts():
    figures = Lengths("known", np.arange(1, 201), np.arange(301, 501)).figures()
    assert figures["rows"] == 200
    assert figures["completion"]["covered"] == {"64": 0.32, "96": 0.48, "128": 0.64, "160": 0.8}
    assert figures["completion"]["mean"] == 100.5
    assert [figures["completion"][name] for name in ("median", "p90", "p95", "p99", "max")] == [
        101,
        181,
        191,
        199,
        200,
    ]
    assert figures["prompt_and_completion"]["covered"] == {"256": 0.0, "384": 0.42, "512": 1.0, "768": 1.0}


def test_counts_are_the_tokenizers_with_an_end_mark(counter, tokenizer_folder):
    text = "Ada met Bob."
    rows = [
        {"text": text, "entities": [{"type": "person", "text": "Ada", "start": 0, "end": 3}]},
        {"text": text, "entities": []},
    ]
    pairs = list(passage_pairs(rows))
    assert pairs == [(render_prompt(["person"], text), render_completion([("person", "Ada")]))]
    measured = measure("one", pairs, counter)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    prompt, completion = (len(tokenizer(part)["input_ids"]) for part in pairs[0])
    assert measured.completion.tolist() == [completion + 1]
    assert measured.total.tolist() == [prompt + completion + 1]
    with pytest.raises(ValueError, match="no rows with mentions"):
        measure("none", [], counter)


def test_the_command_prints_draws_and_writes(tmp_path, tokenizer_folder, capsys):
    source = small_source(tmp_path / "source.json")
    tokenizer = ["--tokenizer", str(tokenizer_folder)]
    limits = ["--max-seq-length", "192", "--max-completion-tokens", "40", "--num-proc", "1"]
    assert build(["--source", str(source), "--output", str(tmp_path / "data"), *limits, *tokenizer]) == 0
    plot, figures = tmp_path / "plots" / "lengths.png", tmp_path / "lengths.json"
    capsys.readouterr()
    assert (
        main(["--dataset", str(tmp_path / "data"), *tokenizer, "--plot", str(plot), "--json", str(figures)])
        == 0
    )
    printed = capsys.readouterr().out
    assert all(f"within {canvas}" in printed for canvas in (64, 96, 128, 160))
    assert plot.read_bytes().startswith(b"\x89PNG")
    whole, windows = json.loads(figures.read_text()).values()
    report = json.loads((tmp_path / "data" / "report.json").read_text())
    assert whole["rows"] == report["passages"]["train"]
    assert windows["rows"] == report["rows"]["sft_train"] > whole["rows"]
    assert windows["completion"]["max"] <= 40 < whole["completion"]["max"]


def test_a_folder_that_is_no_data_set_is_an_error(tmp_path, tokenizer_folder, capsys):
    assert main(["--dataset", str(tmp_path), "--tokenizer", str(tokenizer_folder)]) == 1
    assert "error:" in capsys.readouterr().err
