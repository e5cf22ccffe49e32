"""A training run: model, rows and collator put together."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from peft import get_peft_model
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging
from trl import ModelConfig, get_peft_config

from modeling.arguments import DiffusionArguments
from modeling.backbones import load_model
from modeling.collator import CompletionCollator, EntityCollator
from modeling.custom_generate.settings import DiffusionSettings
from modeling.encoding import PromptEncoder
from modeling.pointer_init import pointer_from_encoder
from modeling.queries import Inventory, QuerySampler
from modeling.tokenizer import load_tokenizer
from modeling.trainer import DiffusionTrainer

logger = logging.get_logger(__name__)
SHARD = "15MB"
GENERATION = Path(__file__).parent / "custom_generate"


@dataclass
class RunArguments:
    """What to train on."""

    data: str = field(
        default="diffusion-ner/pile-ner-diffusion",
        metadata={
            "help": "Hub data set id or folder of prompt/completion rows (python -m dataset_builder.build), "
            "or a folder of entity rows (python -m dataset_builder.mix)."
        },
    )
    data_config: str | None = field(default=None, metadata={"help": "Name of the data set's configuration."})
    new_pointer_from: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of a BERT encoder to make a new pointer network from."},
    )
    canvas_word_embeddings: bool = field(
        default=True, metadata={"help": "Whether aligned slots of a new pointer network receive their word."}
    )
    max_length: int = field(
        default=512, metadata={"help": "The most tokens of prompt (and completion canvas)."}
    )
    canvas_length: int = field(default=128, metadata={"help": "The most tokens of the completion canvas."})
    resume: bool = field(default=False, metadata={"help": "Go on from the last checkpoint in output_dir."})


def run(run_args: RunArguments, args: DiffusionArguments, model_args: ModelConfig) -> dict[str, float]:
    """Train, save the model with everything it needs into ``args.output_dir``, return the figures.

    Raises:
        FileNotFoundError, OSError: the model or the data set cannot be found or reached.
    """
    torch.manual_seed(args.seed)
    # cuDNN's attention plans every new shape anew, which costs more than a step; batches have many shapes.
    torch.backends.cuda.enable_cudnn_sdp(False)
    model, tokenizer = _model(run_args, args, model_args)
    settings = DiffusionSettings.of(model)
    args.remove_unused_columns = False  # the collator reads the raw columns
    rows, extras = load_rows(run_args)
    if "prompt" in rows["train"].column_names:
        collator: Any = CompletionCollator(tokenizer, settings, run_args.max_length, run_args.canvas_length)
    else:
        encoder = PromptEncoder(tokenizer, settings)
        queries = QuerySampler(extras["inventories"])
        collator = EntityCollator(encoder, queries, run_args.max_length, run_args.canvas_length)
    trainer = DiffusionTrainer(
        model=model,
        args=args,
        train_dataset=rows["train"],
        eval_dataset=rows.get("validation"),
        data_collator=collator,
        processing_class=tokenizer,
        lengths=extras["lengths"],
        weights=extras["weights"],
    )
    result = trainer.train(resume_from_checkpoint=run_args.resume or None)
    metrics = dict(result.metrics)
    if "validation" in rows:
        metrics |= trainer.evaluate()
    save(trainer, tokenizer, metrics)
    return metrics


def load_rows(run_args: RunArguments) -> tuple[dict[str, Dataset], dict[str, Any]]:
    """Return the rows by split, and for entity rows their inventories, weights and estimated lengths."""
    extras: dict[str, Any] = {"inventories": {}, "weights": None, "lengths": None}
    folder = Path(run_args.data)
    if (folder / "sources.json").is_file():
        files = {split: str(folder / f"{split}.jsonl.gz") for split in ("train", "validation")}
        rows = load_dataset("json", data_files={k: v for k, v in files.items() if Path(v).is_file()})
        sources = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
        extras["inventories"] = {
            name: Inventory(
                tuple(entry.get("types", ())), entry.get("coarse") or {}, entry.get("related") or {}
            )
            for name, entry in sources.items()
        }
        extras["weights"] = [float(sources[name].get("weight", 1.0)) for name in rows["train"]["source"]]
        # Prompt and both canvases, roughly: a token has 4.5 characters, a word 6; types take some 60.
        extras["lengths"] = [90 + len(text) // 2 for text in rows["train"]["text"]]
    else:
        rows = load_dataset(run_args.data, run_args.data_config)
    return dict(rows), extras


def _model(
    run_args: RunArguments, args: DiffusionArguments, model_args: ModelConfig
) -> tuple[Any, PreTrainedTokenizerBase]:
    if run_args.new_pointer_from is not None:
        tokenizer: Any = AutoTokenizer.from_pretrained(run_args.new_pointer_from)
        model: Any = pointer_from_encoder(
            run_args.new_pointer_from, tokenizer, run_args.canvas_word_embeddings
        )
        return model, tokenizer
    # Weights that are trained whole stay in fp32 (bf16 runs under autocast); under an adapter, in bf16.
    dtype = torch.bfloat16 if model_args.use_peft and args.bf16 else torch.float32
    model = load_model(model_args.model_name_or_path, dtype=dtype)
    tokenizer = load_tokenizer(model_args.model_name_or_path)
    peft_config = get_peft_config(model_args)
    if peft_config is not None:
        settings = DiffusionSettings.of(model)
        model = get_peft_model(model, peft_config)
        settings.apply(model)
        if args.gradient_checkpointing:
            model.enable_input_require_grads()
    return model, tokenizer


def save(trainer: DiffusionTrainer, tokenizer: PreTrainedTokenizerBase, metrics: dict[str, float]) -> None:
    """Write a folder that loads by itself: weights, settings, tokenizer, the denoising loop, the log."""
    if not trainer.args.should_save:
        return
    folder = Path(str(trainer.args.output_dir))
    model: Any = trainer.model
    model.save_pretrained(folder, max_shard_size=SHARD)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shutil.copytree(
        GENERATION,
        folder / "custom_generate",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    log = {"metrics": metrics, "history": trainer.state.log_history}
    (folder / "training_log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    logger.info(f"saved the model to {folder}")
