"""A training run: model, rows and collator put together."""

import json
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging
from trl import ModelConfig, get_peft_config

from ..backbones.load import load_model
from ..backbones.pointer_bert import PointerBertConfig
from ..backbones.pointer_init import pointer_from_encoder
from ..backbones.sources import read_json, resolve
from ..backbones.tokenizer import load_tokenizer
from ..canvas.encoding import PromptEncoder
from ..custom_generate.network import context_of
from ..custom_generate.settings import DiffusionSettings
from .arguments import DiffusionArguments, RunArguments
from .averaging import mean_of
from .collator import CompletionCollator, EntityCollator
from .labelled import is_labelled, load_labelled, warn_of_long
from .lengths import CompletionLengths, EntityLengths
from .queries import LevelSampler, QuerySampler
from .rows import RunRows, load_rows
from .trainer import DiffusionTrainer
from .validation import questions

logger = logging.get_logger(__name__)
LOG = "training_log.json"


@dataclass(frozen=True)
class Feed:
    """How rows become batches: the queries drawn, the collator, and the rows' lengths."""

    queries: QuerySampler
    collator: CompletionCollator | EntityCollator
    lengths: CompletionLengths | EntityLengths


def run(run_args: RunArguments, args: DiffusionArguments, model_args: ModelConfig) -> dict[str, float]:
    """Train, save the model with everything it needs into ``args.output_dir``, return the figures.

    Raises:
        FileNotFoundError, OSError: the model or the data set cannot be found or reached.
        LabelledError: a file of labelled texts has faults; the message names the lines.
    """
    torch.manual_seed(args.seed)
    # cuDNN's attention plans every new shape anew, which costs more than a step; batches have many shapes.
    torch.backends.cuda.enable_cudnn_sdp(False)
    # Before the model: one's own file is there at once, and its faults are the likeliest.
    own = load_labelled(Path(run_args.data)) if is_labelled(run_args.data) else None
    if own is not None and run_args.sources is not None:
        raise ValueError(
            f"--sources {run_args.sources} goes with a folder of entity rows, not with {run_args.data!r}"
        )
    model, tokenizer = prepare_model(run_args, args, model_args)
    rows = own or load_rows(
        run_args.data, run_args.data_config, run_args.sources, _factors(run_args.source_factors)
    )
    if own is not None:
        warn_of_long(own, PromptEncoder(tokenizer, DiffusionSettings.of(model)), run_args.max_length)
    feed = make_feed(model, tokenizer, rows, run_args, args.dataloader_num_workers)
    if run_args.average_runs == 1:
        trainer = make_trainer(model, tokenizer, rows, run_args, args, feed=feed)
        return _train(trainer, run_args.resume)
    return _train_mean(run_args, args, model_args, rows, feed)


def _factors(given: list[str] | None) -> dict[str, float]:
    """Return what NAME=FACTOR flags say."""
    factors = {}
    for flag in given or []:
        name, _, factor = flag.rpartition("=")
        try:
            factors[name] = float(factor)
        except ValueError:
            raise ValueError(
                f"source_factors takes NAME=FACTOR, such as open_written=2, got {flag!r}"
            ) from None
    return factors


def _train(trainer: DiffusionTrainer, resume: bool) -> dict[str, float]:
    """Train, save the model and its log, return the figures."""
    result = trainer.train(resume_from_checkpoint=resume)
    metrics = dict(result.metrics)
    if trainer.eval_dataset is not None:
        metrics |= trainer.evaluate()
    trainer.save_model()
    _write_log(trainer, Path(str(trainer.args.output_dir)), metrics, trainer.state.log_history)
    return metrics


def _train_mean(
    run_args: RunArguments, args: DiffusionArguments, model_args: ModelConfig, rows: RunRows, feed: Feed
) -> dict[str, float]:
    """Train several runs and save the mean of their weights, with its own loss and the logs of all runs."""
    output = Path(str(args.output_dir))
    folders = [output / f"run-{number}" for number in range(run_args.average_runs)]
    for number, folder in enumerate(folders):
        single = copy(args)
        single.seed, single.output_dir = args.seed + number, str(folder)
        model, tokenizer = prepare_model(run_args, args, model_args)
        trainer = make_trainer(model, tokenizer, rows, run_args, single, feed=feed)
        if not (run_args.resume and (folder / LOG).is_file()):
            _train(trainer, run_args.resume)
    logs = [json.loads((folder / LOG).read_text(encoding="utf-8")) for folder in folders]
    network: Any = trainer.model
    network.load_state_dict(mean_of(folders))
    metrics = dict(trainer.evaluate()) if trainer.eval_dataset is not None else {}
    trainer.save_model(str(output))
    history = [entry | {"run": number} for number, log in enumerate(logs) for entry in log["history"]]
    _write_log(trainer, output, metrics, history)
    return metrics


def _write_log(
    trainer: DiffusionTrainer, folder: Path, metrics: dict[str, float], history: list[Any]
) -> None:
    if trainer.args.should_save:
        log = {"metrics": metrics, "history": history}
        (folder / LOG).write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
        logger.info(f"saved the model to {folder}")


def make_feed(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: RunRows,
    run_args: RunArguments,
    workers: int = 0,
) -> Feed:
    """Return how these rows become batches for this network; it serves every run over them.

    Args:
        workers: processes that measure the rows' lengths; 0: this one alone.
    """
    settings = DiffusionSettings.of(model)
    queries = QuerySampler(
        rows.inventories,
        full_list_rate=run_args.full_list_rate,
        few_negatives=run_args.few_negatives,
        lower_rate=run_args.lower_rate,
        drop_rate=run_args.drop_rate,
        both_rate=run_args.both_rate,
        alone_rate=run_args.alone_rate,
        levels=LevelSampler(
            general_rate=run_args.general_rate,
            finest_rate=run_args.finest_rate,
            other_rate=run_args.other_level_rate,
            drop_rate=run_args.drop_rate,
            plural_rate=run_args.plural_rate,
        ),
    )
    train, longest, canvas = rows.splits["train"], run_args.max_length, run_args.canvas_length
    if rows.are_completions:
        told = CompletionLengths(train, tokenizer, canvas)
        completions = CompletionCollator(tokenizer, settings, longest, canvas, answer_lengths=told.answers)
        return Feed(queries, completions, told)
    if longest + canvas > context_of(model):
        raise ValueError(
            f"max_length={longest} and canvas_length={canvas} together need {longest + canvas} positions, "
            f"but the network has {context_of(model)}; lower one of them"
        )
    encoder = PromptEncoder(tokenizer, settings)
    lengths = EntityLengths(train, encoder, queries, longest, canvas, workers)
    return Feed(queries, EntityCollator(encoder, queries, longest, canvas, lengths.answers), lengths)


def make_trainer(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: RunRows,
    run_args: RunArguments,
    args: DiffusionArguments,
    kind: type[DiffusionTrainer] = DiffusionTrainer,
    feed: Feed | None = None,
    **options: Any,
) -> DiffusionTrainer:
    """Return the Trainer of these rows, with the collator that fits them.

    Args:
        kind: DiffusionTrainer or a class derived from it.
        feed: of these rows, if it was made before.
        options: further arguments of that class.
    """
    feed = feed or make_feed(model, tokenizer, rows, run_args)
    validation = rows.splits.get("validation")
    return kind(
        model=model,
        args=args,
        train_dataset=rows.splits["train"],
        eval_dataset=validation,
        data_collator=feed.collator,
        processing_class=tokenizer,
        lengths=feed.lengths.least,
        drawn_lengths=feed.lengths,
        weights=rows.weights,
        sample=questions(validation or (), feed.queries, args.eval_sample_rows),
        **options,
    )


def prepare_model(
    run_args: RunArguments, args: DiffusionArguments, model_args: ModelConfig
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Return the network to train, with its adapter if it gets one, and its tokenizer."""
    if run_args.init is not None:
        model_args.model_name_or_path = _pointer_checkpoint(run_args.init)
    if run_args.new_pointer_from is not None:
        tokenizer: Any = AutoTokenizer.from_pretrained(run_args.new_pointer_from)
        model: Any = pointer_from_encoder(
            run_args.new_pointer_from,
            tokenizer,
            run_args.canvas_word_embeddings,
            run_args.type_attention or "text",
        )
        if run_args.prompt_attention is not None:
            settings = replace(DiffusionSettings.of(model), prompt_attention=run_args.prompt_attention)
            settings.apply(model)
        return model, tokenizer
    if run_args.lora_rank is not None:
        model_args.use_peft = run_args.lora_rank > 0
        model_args.lora_r = run_args.lora_rank or model_args.lora_r
    # Weights that are trained whole stay in fp32 (bf16 runs under autocast); under an adapter, in bf16.
    dtype = torch.bfloat16 if model_args.use_peft and args.bf16 else torch.float32
    model = load_model(model_args.model_name_or_path, dtype=dtype)
    if model_args.attn_implementation is not None:
        model.set_attn_implementation(model_args.attn_implementation)
    return (
        with_adapter(model, model_args, run_args.base_hub_id),
        load_tokenizer(model_args.model_name_or_path),
    )


def _pointer_checkpoint(init: str) -> str:
    """Return the folder or Hub id of a trained pointer checkpoint.

    Raises:
        FileNotFoundError, OSError: there is none.
        ValueError: it is another kind of network.
    """
    source = resolve(init)
    kind = (read_json(source, "config.json") or {}).get("model_type")
    if kind != PointerBertConfig.model_type:
        raise ValueError(
            f"--init takes a trained pointer checkpoint, but the model_type of {init!r} is {kind!r}; give "
            "mini or a folder that a run wrote, or other networks by --model_name_or_path, encoders by "
            "--new_pointer_from"
        )
    return source


def with_adapter(model: Any, model_args: ModelConfig, base_hub_id: str | None = None) -> Any:
    """Return the model with a new adapter as ``model_args`` say, or as it is if they ask for none.

    Args:
        base_hub_id: what the adapter's configuration names as its base; default: where the model came from.
    """
    peft_config = get_peft_config(model_args)
    if peft_config is None:
        return model
    settings = DiffusionSettings.of(model)
    model = get_peft_model(model, peft_config)
    settings.apply(model)
    adapter = model.peft_config["default"]
    if base_hub_id is not None:
        adapter.base_model_name_or_path = base_hub_id
    base = adapter.base_model_name_or_path
    if base and Path(base).exists():
        logger.warning(
            f"the adapter will name the local folder {base!r} as its base, so nobody else can load it; "
            "give the base's Hub id: --base_hub_id ORGANISATION/NAME"
        )
    return model
