"""Tiny networks and a toy language, made on the spot so that the tests need no download."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from modeling.backbones.pointer_bert import PointerBert
from modeling.backbones.pointer_init import pointer_from_encoder, pointer_settings
from modeling.canvas.template import render_completion, render_prompt
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.queries import Inventory

LEXICON = {
    "person": ["alice", "bob", "carol", "david", "emma", "frank"],
    "city": ["paris", "london", "berlin", "tokyo", "madrid", "oslo"],
    "animal": ["cat", "dog", "horse", "tiger", "rabbit", "eagle"],
}
SURNAMES = {"person": "smith", "city": "town", "animal": "cub"}
TYPES = list(LEXICON)
# Rows are annotated with some of the types; each choice is a source with an inventory of its own.
SOURCES = {"-".join(own): own for n in (1, 2, 3) for own in itertools.combinations(TYPES, n)}
INVENTORIES = {name: Inventory(types) for name, types in SOURCES.items()}
VERBS = ["met", "saw", "visited", "likes", "left"]
PROMPT_WORDS = ["extract", "entities", "of", "types", "text", "none"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:|!?-_'\"()\\"

# Dream's symbols on both canvases, with markers.
DREAM_SETTINGS = DiffusionSettings(
    mask_token_id=151666,
    pad_token_id=151643,
    prompt_markers=True,
    outside_token_id=151667,
    inside_token_id=151668,
    first_marker_id=151669,
    max_markers=395,
)


def toy_tokenizer() -> PreTrainedTokenizerBase:
    """Return a WordPiece tokenizer of the toy language; words it does not know fall into characters.

    Its vocabulary is listed, not trained: the trainer breaks ties by hash order, and no two runs would agree.
    """
    known = [*PROMPT_WORDS, *VERBS, *TYPES, *SURNAMES.values(), "the", "it", "rained"]
    words = [*known, *(word for own in LEXICON.values() for word in own)]
    special = ["[PAD]", *(f"[unused{i}]" for i in range(60)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *CHARACTERS, *(f"##{c}" for c in CHARACTERS if c.isalnum()), *words]
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(dict.fromkeys(pieces))})


def toy_row(rng: random.Random, types: Sequence[str] = TYPES) -> dict[str, Any]:
    """Return a row such as "alice smith visited the paris . it rained .", annotated with these types."""
    entities, text = [], ""
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.2:
            text += "it rained . "
            continue
        for place in ("subject", "verb", "object"):
            if place == "verb":
                text += rng.choice(VERBS) + (" the " if rng.random() < 0.3 else " ")
                continue
            kind = rng.choice(TYPES)
            span = rng.choice(LEXICON[kind]) + (f" {SURNAMES[kind]}" if rng.random() < 0.3 else "")
            if kind in types:
                entities.append(
                    {"start": len(text), "end": len(text) + len(span), "type": kind, "text": span}
                )
            text += span + " "
        text += ". "
    return {
        "source": "-".join(types),
        "text": text.strip(),
        "entities": entities,
        "negatives": "closed",
        "exhaustive": True,
    }


def toy_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows of the toy language, annotated with all its types."""
    rng = random.Random(seed)
    return [toy_row(rng) for _ in range(count)]


def completion_rows(count: int) -> list[dict[str, Any]]:
    """Return rows of the toy language as prompts and completions."""
    return [
        {
            "text": row["text"],
            "types": TYPES,
            "prompt": render_prompt(TYPES, row["text"]),
            "completion": render_completion([(e["type"], e["text"]) for e in row["entities"]], TYPES),
        }
        for row in toy_rows(count)
    ]


def write_mix(folder: Path, train: int, validation: int) -> Path:
    """Write rows of all sources as ``dataset_builder.mix`` does, and return the folder."""
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("validation", validation)):
        choices = itertools.islice(itertools.cycle(SOURCES.values()), count)
        lines = [json.dumps(toy_row(rng, types)) + "\n" for types in choices]
        with gzip.open(folder / f"{split}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(lines)
    (folder / "sources.json").write_text(json.dumps({name: {"types": own} for name, own in SOURCES.items()}))
    return folder


def save_encoder(folder: Path, tokenizer: PreTrainedTokenizerBase, layers: int = 1, hidden: int = 64) -> Path:
    """Write a BERT encoder in whose embeddings words lie near the name of their type, as in a trained one."""
    torch.manual_seed(0)
    encoder = BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=2 * hidden,
            max_position_embeddings=512,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.1,
        ),
        add_pooling_layer=False,
    )
    table, index = encoder.embeddings.word_embeddings.weight, tokenizer.get_vocab()
    with torch.no_grad():
        for kind, words in LEXICON.items():
            for word in [*words, SURNAMES[kind]]:
                table[index[word]] = 0.5 * table[index[word]] + table[index[kind]]
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_pointer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> PointerBert:
    """Return an untrained pointer network of two layers; ``folder`` receives its encoder."""
    return pointer_from_encoder(save_encoder(folder, tokenizer, 2, 32), tokenizer).eval()


def tiny_bert(tokenizer: PreTrainedTokenizerBase, **settings: Any) -> BertForMaskedLM:
    """Return an untrained masked LM with both canvases, its prompt isolated."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.2,
        is_decoder=True,
    )
    config.is_causal = False
    model = BertForMaskedLM(config).eval()
    model.generation_config = GenerationConfig()  # BERT has none of its own
    _settings(tokenizer, prompt_markers=False, **settings).apply(model)
    return model


def tiny_dream(tokenizer: PreTrainedTokenizerBase, **settings: Any) -> Qwen2ForCausalLM:
    """Return an untrained network of Dream's shape; settings as Dream's unless given."""
    torch.manual_seed(2)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        intermediate_size=64,
        initializer_range=0.2,
        is_causal=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = Qwen2ForCausalLM(config).eval()
    own = {"logits_shift": 1, "prompt_attention": "full", "canvas": "completion", "prompt_markers": False}
    _settings(tokenizer, **{**own, **settings}).apply(model)
    return model


def byte_level_dream() -> Qwen2ForCausalLM:
    """Return an untrained network of Dream's shape with Dream's own vocabulary and symbols."""
    torch.manual_seed(4)
    config = Qwen2Config(
        vocab_size=152064,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        intermediate_size=16,
        initializer_range=0.5,
        is_causal=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = Qwen2ForCausalLM(config).eval()
    DREAM_SETTINGS.apply(model)
    return model


def _settings(tokenizer: PreTrainedTokenizerBase, **changes: Any) -> DiffusionSettings:
    return replace(pointer_settings(tokenizer), **changes)


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Change fields of a folder's JSON file; None removes one, and a missing file begins empty."""
    file = folder / name
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({k: v for k, v in {**content, **changes}.items() if v is not None}))


def as_published(folder: Path) -> None:
    """Turn a saved tiny Dream into a folder as Dream is published: own type, remote code, not causal."""
    (folder / "generation_config.json").unlink()
    edit(
        folder,
        "config.json",
        model_type="Dream",
        architectures=["DreamModel"],
        auto_map={"AutoModel": "modeling_dream.DreamModel"},
        is_causal=None,
        mask_token_id=64,
        pad_token_id=0,
        eos_token_id=0,
        bos_token_id=1,
    )
