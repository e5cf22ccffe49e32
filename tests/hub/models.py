"""Small models of Dream's kind, for a release: as published, with an adapter, merged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from modeling import load_model, load_tokenizer
from modeling.cli.convert_dream import convert
from modeling.cli.merge import merge
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.checkpoints import write_model

SPECIAL = ["<|endoftext|>", "<|beginoftext|>", "<|mask|>"]
SYMBOLS = 66  # rows for O, I and markers, which no token has


@dataclass(frozen=True)
class ModelFolders:
    """Where the models lie."""

    published: Path
    base: Path
    adapter: Path
    full: Path


def make_models(work: Path) -> ModelFolders:
    """Write an untrained network of Dream's shape in all its forms."""
    published = work / "dream"
    write_published(published)
    convert(published, work / "base")
    model = load_model(work / "base")
    torch.manual_seed(3)
    config = LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    settings = DiffusionSettings.of(model)
    wrapped = get_peft_model(model, config)
    settings.apply(wrapped)
    write_model(wrapped, load_tokenizer(work / "base"), work / "adapter")
    # What a training run leaves, one of them a pickle.
    torch.save({"seed": 0}, work / "adapter" / "training_args.bin")
    (work / "adapter" / "training_log.json").write_text('{"metrics": {"train_loss": 1.25}, "history": []}')
    merge(work / "adapter", work / "full")
    return ModelFolders(published, work / "base", work / "adapter", work / "full")


def write_published(folder: Path) -> None:
    """Write the model as Dream is published: its own model type, remote code, sampling defaults."""
    tokenizer = Qwen2Tokenizer(
        vocab={c: i for i, c in enumerate([*sorted(ByteLevel.alphabet()), *SPECIAL])},
        merges=[],
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[0],
        mask_token=SPECIAL[2],
    )
    size = len(tokenizer)
    torch.manual_seed(2)
    config = Qwen2Config(
        vocab_size=size + SYMBOLS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.2,
        bos_token_id=tokenizer.convert_tokens_to_ids(SPECIAL[1]),
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder, max_shard_size="60KB")
    tokenizer.save_pretrained(folder)
    head = json.loads((folder / "config.json").read_text())
    head |= {
        "model_type": "Dream",
        "architectures": ["DreamModel"],
        "auto_map": {"AutoModel": "modeling_dream.DreamModel"},
        "mask_token_id": tokenizer.mask_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    (folder / "config.json").write_text(json.dumps(head))
    (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.2, "top_k": 50}))
