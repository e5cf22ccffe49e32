"""How fast does Dream-7B train with LoRA? Its full shape with random weights, real rows, the real Trainer.

    python -m model_card speed training --tokenizer FOLDER --rows ROWS.jsonl.gz --output FILE.json
    accelerate launch --config_file modeling/configs/ddp.yaml -m model_card speed training ...

Each variant trains some steps with the settings of ``train_dream_sft.yaml`` (and what the variant changes).
Random weights take the time of trained ones; what is learnt means nothing. The file named by ``--shape``
changes fields of the network's configuration, to rehearse on a CPU.
"""

import argparse
import gc
import hashlib
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM, TrainerCallback
from trl import ModelConfig, TrlParser

from model_card.evidence.files import read_json, write_json
from model_card.evidence.provenance import ROOT, provenance
from model_card.flags import add_output
from model_card.speed.shape import DREAM_7B
from modeling import load_tokenizer
from modeling.backbones.dream import dream_to_qwen2
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.arguments import CHECKPOINTING, DiffusionArguments, RunArguments
from modeling.training.rows import RunRows
from modeling.training.run import make_trainer, with_adapter
from modeling.training.sampler import DrawnCollator, DrawnRows, GlobalBatchSampler
from modeling.training.trainer import DiffusionTrainer

CONFIG = ROOT / "modeling" / "configs" / "train_dream_sft.yaml"
PEAK = 989e12  # dense bf16 operations a second of one H100 or H200 (SXM, data sheet)
PASSAGES, EPOCHS = 45_889, 5  # Pile-NER-type, and the recipe's epochs
IGNORE = -100


@dataclass(frozen=True)
class Variant:
    """What a variant changes in the recipe."""

    checkpointing: bool
    compiled: bool = False
    attention: str = "sdpa"


VARIANTS = {
    "checkpointed": Variant(True),
    "plain": Variant(False),
    "eager_attention": Variant(False, attention="eager"),
    "compiled_checkpointed": Variant(True, compiled=True),
    "compiled": Variant(False, compiled=True),
}


class Clock(TrainerCallback):
    """Seconds of each optimiser step, and which of them compiled something."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.compiling: list[bool] = []
        self._start, self._frames = 0.0, 0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start when the device has nothing left to do."""
        self._start, self._frames = _now(), _compiled_frames()

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """The weights have changed."""
        self.seconds.append(_now() - self._start)
        self.compiling.append(_compiled_frames() != self._frames)


class CountingTrainer(DiffusionTrainer):
    """Counts what each optimiser step computes."""

    counted: list[dict[str, int]]

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Run one batch, and count its rows, tokens and padded tokens."""
        tokens = inputs["prompt_mask"].sum(1) + inputs["completion_mask"].sum(1)
        rows, longest = len(tokens), -(-int(tokens.max()) // 8) * 8
        counts = {
            "rows": rows,
            "tokens": int(tokens.sum()),
            "pairs": int((tokens**2).sum()),
            "padded": rows * longest,
            "canvas": int((inputs["labels"] != IGNORE).sum()),
        }
        step = self.state.global_step
        while len(self.counted) <= step:
            self.counted.append(dict.fromkeys(counts, 0))
        self.counted[step] = {name: self.counted[step][name] + value for name, value in counts.items()}
        return super().training_step(model, inputs, num_items_in_batch)


def build(config: dict[str, Any], device: torch.device) -> Qwen2ForCausalLM:
    """Return Dream's network with random bf16 weights, made on the device."""
    native = dream_to_qwen2(config)
    with device:
        model = Qwen2ForCausalLM._from_config(native, dtype=torch.bfloat16)
    model.config._name_or_path = "Dream-org/Dream-v0-Base-7B"
    model.name_or_path = "Dream-org/Dream-v0-Base-7B"
    settings = DiffusionSettings(config["mask_token_id"], config["pad_token_id"])
    settings.apply(model)
    return model.eval()


def operations(model: Any, counts: dict[str, int], masked_share: float) -> float:
    """Return the floating point operations that a LoRA step needs, a multiplication and an addition as two.

    A frozen matrix of n weights takes 2n a token forward and 2n backward (the gradient of its input; it needs
    none for itself); a trained one 2n and 4n. Attention takes 4 x length x width a token and layer forward
    and twice that backward. The output layer runs on masked slots alone. Not counted: padding, what gradient
    checkpointing computes again, norms, activations, softmax.

    Args:
        model: with its adapter.
        counts: of CountingTrainer.
        masked_share: of the canvas tokens.
    """
    config = model.config
    frozen = trained = 0
    for name, weight in model.named_parameters():
        if weight.ndim != 2 or "embed_tokens" in name or "lm_head" in name:
            continue
        if weight.requires_grad:
            trained += weight.numel()
        else:
            frozen += weight.numel()
    width = config.num_attention_heads * (config.hidden_size // config.num_attention_heads)
    layers = (4 * frozen + 6 * trained) * counts["tokens"]
    attention = 12 * width * config.num_hidden_layers * counts["pairs"]
    output = 4 * config.vocab_size * config.hidden_size * counts["canvas"] * masked_share
    return float(layers + attention + output)


def measure(
    name: str, model: Any, tokenizer: PreTrainedTokenizerBase, rows: Dataset, args: argparse.Namespace
) -> dict[str, Any]:
    """Train some steps under one variant and return what was measured, over all processes."""
    variant = VARIANTS[name]
    model.set_attn_implementation(variant.attention)
    if not variant.checkpointing:
        disable = f"{CHECKPOINTING}_disable"
        getattr(model, disable)()
    run_args, training, _ = recipe(args, variant)
    cuda = training.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    clock = Clock()
    trainer = _counting(model, tokenizer, rows, run_args, training, clock)
    start = time.perf_counter()
    try:
        trainer.train()
    except torch.OutOfMemoryError as error:
        return {"error": str(error).splitlines()[0]}
    result = figures(trainer, clock, args.warmup)
    result["seconds_with_warmup"] = round(time.perf_counter() - start, 1)
    result["loss"] = [round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry]
    if cuda:
        result["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        result["peak_reserved_gib"] = round(torch.cuda.max_memory_reserved() / 2**30, 2)
    result |= adapter_size(trainer, Path(args.work))
    _forget(trainer, variant)
    return result


def figures(trainer: CountingTrainer, clock: Clock, warmup: int) -> dict[str, Any]:
    """Return speed and utilisation of the steps after the warm-up in which nothing was compiled."""
    steady = [i for i in range(warmup, len(clock.seconds)) if not clock.compiling[i]]
    if not steady:
        raise RuntimeError("every step after the warm-up compiled something; give more --steps")
    own = {key: sum(trainer.counted[i][key] for i in steady) for key in trainer.counted[0]}
    whole = trainer.accelerator.reduce(torch.tensor(list(own.values()), device=trainer.args.device), "sum")
    counts = dict(zip(own, whole.tolist(), strict=True))
    seconds = sum(clock.seconds[i] for i in steady)
    logs = [entry for entry in trainer.state.log_history if "completion_masked" in entry]
    masked = sum(entry["completion_masked"] for entry in logs) / len(logs)
    network = trainer.accelerator.unwrap_model(trainer.model)
    needed = operations(network, counts, masked)
    processes = trainer.accelerator.num_processes
    return {
        "processes": processes,
        "steps": len(steady),
        "steps_compiling": len(clock.seconds) - warmup - len(steady),
        "rows": counts["rows"],
        "tokens": counts["tokens"],
        "padding_share": round(1 - counts["tokens"] / counts["padded"], 4),
        "masked_share": round(masked, 4),
        "seconds": round(seconds, 3),
        "median_step_s": round(sorted(clock.seconds[i] for i in steady)[len(steady) // 2], 4),
        "tokens_per_s": round(counts["tokens"] / seconds, 1),
        "rows_per_s": round(counts["rows"] / seconds, 2),
        "operations_per_token": round(needed / counts["tokens"]),
        "utilisation": round(needed / seconds / PEAK / processes, 4),
        "trainable_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def extrapolation(rows: Dataset, tokens_per_row: float, tokens_per_s: float) -> dict[str, Any]:
    """Return how long the recipe takes on the full data set, at the rate of the rows measured."""
    passages = len(set(rows["passage_id"]))
    full = round(PASSAGES * len(rows) / passages)
    seconds = full * EPOCHS * tokens_per_row / tokens_per_s
    return {
        "what": f"all {PASSAGES:,} passages, rows a passage and tokens a row as in the rows measured",
        "rows_per_passage": round(len(rows) / passages, 4),
        "rows": full,
        "tokens_per_row": round(tokens_per_row, 1),
        "epochs": EPOCHS,
        "hours": round(seconds / 3600, 3),
    }


def epoch_tokens_per_row(trainer: CountingTrainer) -> float:
    """Return the mean of prompt and canvas tokens over an epoch's batches, as the collator makes them."""
    sampler = GlobalBatchSampler(
        list(trainer.lengths or ()),
        trainer.args.per_device_train_batch_size,
        drawn_lengths=trainer.drawn_lengths,
    )
    rows, collate = DrawnRows(trainer.train_dataset), DrawnCollator(trainer.data_collator)
    batches = [collate(rows.__getitems__(draws)) for draws in sampler]
    tokens = sum(int(b["prompt_mask"].sum() + b["completion_mask"].sum()) for b in batches)
    return tokens / sum(len(b["prompt_mask"]) for b in batches)


def adapter_size(trainer: CountingTrainer, work: Path) -> dict[str, int]:
    """Save the adapter and return its size; every process calls this."""
    folder = work / "adapter"
    trainer.save_model(str(folder))
    path = folder / "adapter_model.safetensors"
    return {"adapter_bytes": path.stat().st_size} if path.is_file() else {}


def recipe(
    args: argparse.Namespace, variant: Variant
) -> tuple[RunArguments, DiffusionArguments, ModelConfig]:
    """Return the settings of ``train_dream_sft.yaml`` with what measuring and the variant change."""
    changes: dict[str, Any] = {
        "output_dir": str(Path(args.work) / "run"),
        "max_steps": args.warmup + args.steps,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "report_to": "none",
        "disable_tqdm": True,
        "checkpoint_layers": variant.checkpointing,
        "compile_layers": variant.compiled,
        "per_device_train_batch_size": args.batch_size,
        "gradient_accumulation_steps": args.accumulation,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": True,
        "masks": "single",  # each canvas token goes through the network once
    }
    flags = [word for key, value in changes.items() for word in (f"--{key}", str(value))]
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])  # type: ignore[list-item]
    run_args, training, model_args = parser.parse_args_and_config(["--config", str(args.config), *flags])
    assert isinstance(run_args, RunArguments)
    assert isinstance(training, DiffusionArguments)
    assert isinstance(model_args, ModelConfig)
    return run_args, training, model_args


def _counting(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    run_args: RunArguments,
    training: DiffusionArguments,
    clock: Clock,
) -> CountingTrainer:
    trainer: Any = make_trainer(
        model, tokenizer, RunRows({"train": rows}), run_args, training, CountingTrainer, callbacks=[clock]
    )
    trainer.counted = []
    return trainer


def _forget(trainer: CountingTrainer, variant: Variant) -> None:
    """Free what the trainer held, and let the layers run uncompiled again."""
    trainer.accelerator.free_memory()
    trainer.optimizer = trainer.lr_scheduler = None
    if variant.compiled:
        for module in trainer.accelerator.unwrap_model(trainer.model).modules():
            module._compiled_call_impl = None
    gc.collect()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _compiled_frames() -> int:
    return int(torch._dynamo.utils.counters["frames"]["total"])


def load_measured_rows(path: Path) -> Dataset:
    """Return the rows of a JSON Lines or Parquet file, which name their passages."""
    kind = "parquet" if path.suffix == ".parquet" else "json"
    rows = load_dataset(kind, data_files=str(path), split="train")
    missing = {"passage_id", "prompt", "completion"} - set(rows.column_names)
    if missing:
        raise ValueError(f"{path} has no column {sorted(missing)[0]!r}; give rows of dataset_builder.build")
    return rows


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--tokenizer", default="Dream-org/Dream-v0-Base-7B", help="folder or Hub id")
    parser.add_argument("--rows", type=Path, required=True, help="rows of dataset_builder.build, one file")
    add_output(parser, required=True)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=16, help="optimiser steps to measure")
    parser.add_argument("--warmup", type=int, default=4, help="optimiser steps before that")
    parser.add_argument("--batch-size", type=int, default=8, help="rows of a batch on one device")
    parser.add_argument("--accumulation", type=int, default=2, help="batches of an optimiser step")
    parser.add_argument(
        "--budget", type=float, default=float("inf"), help="start no variant after so many seconds"
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help="recipe")
    parser.add_argument("--shape", type=Path, help="JSON file of changes to the network's configuration")


def run(args: argparse.Namespace) -> int:
    """Measure every variant."""
    begin = time.perf_counter()
    config = {**DREAM_7B, **(read_json(args.shape) if args.shape else {})}
    with tempfile.TemporaryDirectory() as work:
        args.work = work
        report = _measured(args, config, begin)
    if report is not None:
        print(json.dumps(report["variants"], indent=1), flush=True)
    return 0


def _measured(args: argparse.Namespace, config: dict[str, Any], begin: float) -> dict[str, Any] | None:
    """Measure all variants, write the file after each one, and return the report (of the main process)."""
    run_args, training, model_args = recipe(args, VARIANTS[args.variants[0]])
    device = training.device
    torch.backends.cuda.enable_cudnn_sdp(False)  # as a real run does
    rows = load_measured_rows(args.rows)
    tokenizer = load_tokenizer(args.tokenizer)
    model: Any = with_adapter(build(config, device), model_args)
    probe = _counting(model, tokenizer, rows, run_args, training, Clock())
    tokens_per_row = epoch_tokens_per_row(probe)
    _say(f"built and counted after {time.perf_counter() - begin:.0f} s")
    report: dict[str, Any] = {
        "what": "LoRA training of Dream-7B's full shape: random weights, real rows, the real Trainer",
        "shape": {key: config[key] for key in ("hidden_size", "num_hidden_layers", "vocab_size")},
        "peak_operations_per_s": PEAK,
        "operations_counted": " ".join(str(operations.__doc__).split("\n\n")[1].split()),
        "recipe": {
            "batch_size": args.batch_size,
            "accumulation": args.accumulation,
            "max_length": run_args.max_length,
            "lora_rank": model_args.lora_r,
            "sharded": probe.is_fsdp_enabled,
        },
        "rows": {"count": len(rows), "passages": len(set(rows["passage_id"]))},
        **provenance(device, {args.rows.name: hashlib.sha256(args.rows.read_bytes()).hexdigest()}),
        "variants": {},
    }
    if probe.accelerator.num_processes > 1 and len(args.variants) > 1:
        raise ValueError("several processes measure one variant a launch: give one name to --variants")
    for name in args.variants:
        if time.perf_counter() - begin > args.budget:
            report["variants"][name] = {"error": f"not started: {args.budget:.0f} seconds were over"}
            continue
        found = measure(name, model, tokenizer, rows, args)
        if "tokens_per_s" in found:
            found["full_set"] = extrapolation(rows, tokens_per_row, found["tokens_per_s"])
        report["variants"][name] = found
        _say(f"{name} after {time.perf_counter() - begin:.0f} s: {json.dumps(found)}")
        if probe.args.should_save:
            write_json(args.output, report)
    return report if probe.args.should_save else None


def _say(line: str) -> None:
    print(line, flush=True)
