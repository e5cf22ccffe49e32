"""What users do with a release: fresh processes, empty caches, the project nowhere on the path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modeling import EntityExtractor, load_model, load_tokenizer
from modeling.canvas.template import render_prompt
from modeling.custom_generate.generate import generate
from tests.hub.conftest import Release
from tests.hub.server import ROOT

TYPES = ["person", "organization", "date"]
TEXTS = [
    "Ronaldo plays for Al Nassr since January 2023.",
    "Ada Lovelace wrote to Charles Babbage of the Royal Society in 1843.",
    "Nothing happened.",
]
PROMPT = render_prompt(TYPES, "Ronaldo plays for Al Nassr")
HEAD = """
import importlib.util, json, sys
names = ("modeling", "dataset_builder", "metric", "model_card", "space_app")
assert not [name for name in names if importlib.util.find_spec(name)], sys.path
"""


def fresh(release: Release, tmp_path: Path, code: str, token: bool = True, status: int = 0) -> Any:
    """Run a script as a user would; return what it printed last, read as JSON, or its errors."""
    (tmp_path / "script.py").write_text(HEAD + code, encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "script.py"],
        cwd=tmp_path,
        env=release.hub.environment(home, token),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == status, result.stderr
    return result.stderr if status else json.loads(result.stdout.splitlines()[-1])


def shapes(entities: list[dict]) -> list[tuple[int, int, str]]:
    return [(e["start"], e["end"], e.get("label") or e["entity_group"]) for e in entities]


def test_data_set_and_metric(released: Release, tmp_path):
    found = fresh(
        released,
        tmp_path,
        """
from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset
import evaluate

name = "acme/pile-ner-diffusion"
rows = load_dataset(name, "sft", split="train")
streamed = list(load_dataset(name, "spans", split="train", streaming=True))
whole = {config: load_dataset(name, config).num_rows for config in get_dataset_config_names(name)}
metric = evaluate.load("acme/entity_f1", "text")
score = metric.compute(
    predictions=[[{"type": "person", "text": "Ada"}]],
    references=[[{"type": "person", "text": "Ada"}, {"type": "city", "text": "Rome"}]],
)
print(json.dumps({
    "default": get_dataset_default_config_name(name), "row": rows[0], "rows": whole,
    "streamed": len(streamed), "offsets": all(
        row["text"][e["start"]:e["end"]] == e["text"] for row in streamed for e in row["entities"]),
    "score": [score["precision"], score["recall"]],
}))
""",
    )
    assert found["default"] == "sft"
    assert found["row"]["prompt"].startswith("Extract entities of types: ")
    assert found["row"]["completion"].startswith(" ")
    assert found["rows"]["sft"]["train"] == 36
    assert len(found["rows"]) == 5
    assert found["streamed"] == 36
    assert found["offsets"]
    assert found["score"] == [1.0, 0.5]


def test_adapter_with_its_own_generation_and_with_the_extractor(released: Release, folders, tmp_path):
    found = fresh(
        released,
        tmp_path,
        f"""
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

name = "acme/diffusion-ner-zero-lora"
model = AutoPeftModelForCausalLM.from_pretrained(name)
tokenizer = AutoTokenizer.from_pretrained(name)
inputs = tokenizer({PROMPT!r}, return_tensors="pt")
options = dict(max_new_tokens=12, custom_generate=name, trust_remote_code=True)
output = model.generate(**inputs, **options, steps=4, return_dict_in_generate=True)
try:
    model.generate(**inputs, **{{**options, "trust_remote_code": False}})
    refused = ""
except ValueError as error:
    refused = str(error)
# Then with this project's code, which runs none of the repository's.
loaded = [name for name in sys.modules if name.startswith("transformers_modules.")]
sys.path.insert(0, {str(ROOT)!r})
from modeling import EntityExtractor
extractor = EntityExtractor.from_pretrained(name, revision="v1.0.0", device="cpu")
entities = extractor.predict_entities({TEXTS[0]!r}, {TYPES!r})
assert loaded == [name for name in sys.modules if name.startswith("transformers_modules.")]
print(json.dumps({{
    "entities": entities,
    "class": f"{{type(output).__module__}}.{{type(output).__name__}}", "ids": output.sequences.tolist(),
    "forwards": int(torch.as_tensor(output.forwards).max()), "refused": refused,
    "causal": model.config.is_causal,
    "base": model.peft_config["default"].base_model_name_or_path,
    "loaded": type(model.get_base_model()).__module__,
}}))
""",
    )
    # Ours ran, not the stock loop: its own output class, from the repository's own files.
    assert found["class"].startswith(
        "transformers_modules.acme.diffusion_hyphen_ner_hyphen_zero_hyphen_lora."
    )
    assert found["class"].endswith(".DiffusionOutput")
    assert found["forwards"] <= 4
    assert found["causal"] is False
    assert found["loaded"] == "transformers.models.qwen2.modeling_qwen2"
    assert found["base"] == "acme/dream-v0-base-7b-qwen2"
    assert "trust_remote_code=True" in found["refused"]
    model, tokenizer = load_model(folders["adapter"]), load_tokenizer(folders["adapter"])
    inputs = tokenizer(PROMPT, return_tensors="pt")
    assert found["ids"] == generate(model=model, **inputs, max_new_tokens=12, steps=4).tolist()
    extractor = EntityExtractor.from_pretrained(folders["adapter"], device="cpu")
    assert shapes(found["entities"]) == shapes(extractor.predict_entities(TEXTS[0], TYPES))
    base = load_model(folders["base"])
    assert found["ids"] != generate(model=base, **inputs, max_new_tokens=12, steps=4).tolist()


def test_full_model_binding_and_pipelines(released: Release, folders, tmp_path):
    found = fresh(
        released,
        tmp_path,
        f"""
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

name = "acme/diffusion-ner-zero"
model = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(name)
inputs = tokenizer({PROMPT!r}, return_tensors="pt")
ids = model.generate(**inputs, max_new_tokens=12, steps=4).tolist()
answers = {{"module": model.generate.func.__module__, "ids": ids, "tokenizer": type(tokenizer).__name__}}
full = pipeline("zero-shot-ner", model=name, trust_remote_code=True, device="cpu")
answers["full"] = full({TEXTS!r}, labels={TYPES!r})
mini = pipeline("zero-shot-ner", model="acme/diffusion-ner-zero-mini", trust_remote_code=True, device="cpu")
answers["mini"] = mini({TEXTS!r}, labels={TYPES!r}, batch_size=2)
answers["dtype"] = str(mini.model.dtype)
answers["bound"] = mini.model.generate.func.__module__
try:
    pipeline("zero-shot-ner", model=name)
except ValueError as error:
    answers["refused"] = str(error)
assert not [name for name in names if name in sys.modules]
print(json.dumps(answers))
""",
    )
    assert found["module"].startswith("transformers_modules.acme.diffusion_hyphen_ner_hyphen_zero.")
    assert found["module"].endswith(".custom_generate.generate")
    assert found["bound"].endswith(".custom_generate.generate")
    assert "trust_remote_code=True" in found["refused"]
    model, tokenizer = load_model(folders["full"]), load_tokenizer(folders["full"])
    inputs = tokenizer(PROMPT, return_tensors="pt")
    assert found["ids"] == generate(model=model, **inputs, max_new_tokens=12, steps=4).tolist()
    for key, source in (("full", folders["full"]), ("mini", None)):
        expected = EntityExtractor.from_pretrained(source, device="cpu").batch_predict_entities(TEXTS, TYPES)
        for own, wanted in zip(found[key], expected, strict=True):
            assert shapes(own) == shapes(wanted)
            assert [e["score"] for e in own] == pytest.approx([e["score"] for e in wanted], abs=1e-4)
    assert any(found["mini"])
    assert found["dtype"] == "torch.float32"


def test_a_tag_is_a_whole_snapshot_and_a_private_one(released: Release, tmp_path):
    found = fresh(
        released,
        tmp_path,
        """
from pathlib import Path
from huggingface_hub import HfApi, snapshot_download

folder = Path(snapshot_download("acme/diffusion-ner-zero-mini", revision="v1.0.0"))
files = {p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
refs = HfApi().list_repo_refs("acme/diffusion-ner-zero-mini")
collection = HfApi().get_collection(next(HfApi().list_collections(owner="acme")).slug)
print(json.dumps({
    "files": files, "commit": folder.name, "tags": [[tag.name, tag.target_commit] for tag in refs.tags],
    "items": [[item.item_type, item.item_id] for item in collection.items],
}))
""",
    )
    repository = released.hub.store.repository("model", "acme/diffusion-ner-zero-mini")
    tree = repository.commit("v1.0.0").files
    assert found["files"] == {path: len(blob.data) for path, blob in tree.items()}
    assert found["tags"] == [["v1.0.0", found["commit"]]]
    assert ["space", "acme/entity_f1"] in found["items"]
    assert len(found["items"]) == 7
    errors = fresh(
        released,
        tmp_path,
        "from huggingface_hub import snapshot_download as get\nget('acme/entity_f1', repo_type='space')",
        token=False,
        status=1,
    )
    assert "RepositoryNotFoundError" in errors
