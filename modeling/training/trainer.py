"""The Trainer with the diffusion loss."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MethodType
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from safetensors import SafetensorError
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from ..backbones.saving import write_model
from ..custom_generate.settings import DiffusionSettings
from .arguments import DiffusionArguments
from .batch import TrainingBatch
from .checkpoints import (
    CheckpointNotWritten,
    discard,
    fault,
    last_whole,
    load_trained,
    mark_complete,
    save_trained,
)
from .launch import compile_layers, shard_on_cpu_as_launched, sum_in_fp32
from .loss import DiffusionLoss, LossOutput, stop_at_bad_loss
from .sampler import (
    PLACE,
    REPEATED,
    DrawnCollator,
    DrawnRows,
    EvaluationSampler,
    GlobalBatchSampler,
)
from .training_metrics import Figures
from .validation import Question, decode_sample

EVALUATION_SEED = 1234
IGNORE = -100

T = TypeVar("T")


# DistributedDataParallel and FSDP2 gather weights and reduce gradients around ``forward``, and mixed
# precision wraps it. The loss and the decoding call parts of the network (its encoder, its output layer),
# which alone would bypass all that. So the network's forward learns one more call,
# ``model(inside=function)``, which returns ``function(network)``. Every other call, the names of the weights
# and what is saved stay as they are.


def open_forward(network: Any) -> None:
    """Let ``network(inside=function)`` return ``function(network)``; opening it twice changes nothing."""
    if hasattr(network, "_runs_inside"):
        return
    plain = network.forward

    # A bound method, as accelerate expects it when it wraps the forward in autocast.
    def forward(self: Any, *args: Any, inside: Callable[[Any], Any] | None = None, **kwargs: Any) -> Any:
        return plain(*args, **kwargs) if inside is None else inside(self)

    network.forward = MethodType(forward, network)
    network._runs_inside = True


def run_inside(model: Any, function: Callable[[Any], T]) -> T:
    """Return ``function(network)``, run inside the forward of a network or of its wrapper.

    Args:
        model: what ``open_forward`` was called on, or DDP, FSDP2 or autocast around it.
        function: receives the network without its wrapper; what it returns must hold its tensors in
            tuples, lists or dictionaries, or the wrapper does not see them.
    """
    return model(inside=function)


def _one_thread_of_tokenizers(_worker: int) -> None:
    # The threads with which this process tokenized before do not exist in a worker that is forked from it:
    # waiting for them would last for ever, and TOKENIZERS_PARALLELISM=true in the environment asks for that.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


class DiffusionTrainer(Trainer):
    """Trains a masked-diffusion network on batches of ``training.collator``.

    The loss is divided by the number of canvas tokens of the whole global batch (the Trainer counts them in
    ``labels``), not by the number masked: only then is it the bound, whatever the accumulation and however
    many processes share the batch. It runs inside the network's forward (see ``run_inside``), so that DDP
    and FSDP2 see it.

    Args:
        lengths: each training row's tokens, or an estimate: rows of like length share a batch. Needed with
            ``tokens_per_batch``.
        weights: how often each training row is drawn per epoch on average (default once).
        sample: questions to decode at each evaluation, for F1 and format compliance.
        drawn_lengths: see GlobalBatchSampler.

    Raises:
        ValueError: a setting does not go with the data or the machine; the message says what to change.
    """

    args: DiffusionArguments

    def __init__(
        self,
        *args: Any,
        lengths: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        sample: Sequence[Question] = (),
        drawn_lengths: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.args.tokens_per_batch and lengths is None:
            raise ValueError("tokens_per_batch needs the lengths of the training rows")
        if self.args.n_gpu > 1:
            raise ValueError(
                f"one process sees {self.args.n_gpu} GPUs; start one process a GPU (accelerate launch "
                "--config_file modeling/configs/ddp.yaml train_sft.py ...) or set CUDA_VISIBLE_DEVICES=0"
            )
        self.model_accepts_loss_kwargs = True  # so that the Trainer counts tokens and divides by nothing more
        self._loss_shifts_labels = (
            False  # every canvas slot is a target, whatever the architecture's own loss does
        )
        self.settings = DiffusionSettings.of(self.model)
        self.diffusion_loss = self.args.loss()
        self.lengths, self.weights, self.sample = lengths, weights, sample
        self.drawn_lengths = drawn_lengths
        self._figures = {stage: Figures(self.args.device) for stage in ("train", "eval")}
        if self.args.compile_layers:
            compile_layers(self.model)
        open_forward(self.model)

    def create_accelerator_and_postprocess(self) -> None:
        """Create the accelerator; FSDP2 also on the CPU, and with an exact loss."""
        super().create_accelerator_and_postprocess()
        if shard_on_cpu_as_launched(self.accelerator):
            self.is_fsdp_enabled = True
        sum_in_fp32(self.accelerator)

    # Loss.

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the diffusion loss of one batch, a share of the global batch's loss per token."""
        training = model.training
        tokens = num_items_in_batch
        if tokens is None:
            tokens = (inputs["labels"] != IGNORE).sum()
        objective = self.diffusion_loss if training else self.diffusion_loss.plain()
        outputs: list[LossOutput] = []

        def loss_of(network: Any) -> torch.Tensor:
            outputs.append(self._loss_of(objective, network, inputs))
            return outputs[0].loss / tokens

        loss = run_inside(model, loss_of)
        if training:
            # One wait for the device a batch: a step that is spoilt costs more.
            stop_at_bad_loss(loss, inputs, Path(str(self.args.output_dir)), self.state.global_step)
        prompt = inputs["prompt_ids"]
        masked = (prompt == self.settings.mask_token_id) & inputs["prompt_mask"].bool()
        own = (inputs["labels"] != IGNORE).sum(1)
        counted = torch.ones_like(own, dtype=torch.bool)
        if REPEATED in inputs and not training:
            counted = ~inputs[REPEATED]
        self._figures["train" if training else "eval"].add(outputs[0], own, masked.sum(1), counted)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        return (loss, {"loss": loss}) if return_outputs else loss

    def _loss_of(self, objective: DiffusionLoss, network: Any, inputs: dict[str, Any]) -> LossOutput:
        return objective(network, self.settings, TrainingBatch.from_tensors(inputs), inputs.get(PLACE))

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train; ``resume_from_checkpoint=True`` goes on from the last whole checkpoint, if there is one.

        Raises:
            ValueError: the checkpoint named is broken.
            FloatingPointError: the loss is not finite; the batch was saved.
            CheckpointNotWritten: a checkpoint could not be written, for example because the disk is full.
        """
        found: Path | None = None
        if resume_from_checkpoint is True:
            found = last_whole(Path(str(self.args.output_dir)))
            self.accelerator.wait_for_everyone()
        elif resume_from_checkpoint:
            found = Path(resume_from_checkpoint)
            problem = fault(found)
            if problem is not None:
                raise ValueError(f"cannot go on from {str(found)!r}: {problem}")
        # Autocast casts an adapter's small weights down; peft would cast the large activations up before.
        network: Any = self.model
        with disable_input_dtype_casting(network, active=self._lean_adapter):
            return super().train(None if found is None else str(found), *args, **kwargs)

    @property
    def _lean_adapter(self) -> bool:
        """Whether an adapter in fp32 is trained on a base in bf16."""
        return self.args.bf16 and isinstance(self.model, PeftModel)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if not self.is_fsdp_enabled:
            load_trained(self.model, Path(resume_from_checkpoint))

    # Batches.

    def get_train_dataloader(self) -> DataLoader:
        """Return batches of like lengths: of a token budget if one is set, of a number of rows otherwise."""
        if self.train_dataset is None:
            raise ValueError("training needs a train_dataset")
        lengths = self.lengths if self.lengths is not None else [1] * len(self.train_dataset)  # type: ignore[arg-type]
        budget = self.args.tokens_per_batch or None
        sampler = GlobalBatchSampler(
            lengths,
            None if budget else self._train_batch_size,
            budget,
            self.weights,
            self.args.seed if self.args.data_seed is None else self.args.data_seed,
            self.args.world_size,
            self.args.process_index,
            self.args.gradient_accumulation_steps,
            self.drawn_lengths,
        )
        return self._loader(self.train_dataset, sampler)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Return every row once or ``eval_draws`` times, at times and masks that never change."""
        rows: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(rows, str):
            rows = self.eval_dataset[rows]  # type: ignore[index]
        if rows is None:
            raise ValueError("evaluation needs an eval_dataset")
        sampler = EvaluationSampler(
            [1] * len(rows),
            self.args.eval_batch_size,
            self.args.eval_draws,
            EVALUATION_SEED,
            self.args.world_size,
            self.args.process_index,
        )
        return self._loader(rows, sampler)

    def _loader(self, rows: Any, sampler: Sampler) -> DataLoader:
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            DrawnRows(rows),
            batch_sampler=sampler,
            collate_fn=DrawnCollator(self.data_collator),
            num_workers=workers,
            worker_init_fn=_one_thread_of_tokenizers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=workers > 0 and self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor if workers else None,
        )
        # The sampler yields this process's batches already.
        return prepare_data_loader(
            loader, self.args.device, num_processes=1, process_index=0, put_on_device=True, non_blocking=True
        )

    # Evaluation.

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor, None, None]:
        """Return the loss of one batch."""
        with torch.no_grad():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> Any:
        """Evaluate; the loss is a mean over tokens, at the same times and masks for every checkpoint."""
        self._figures["eval"].collect(self._sum, by_rate=False)  # of an evaluation that was cut off
        output: Any = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        figures = self._figures["eval"].collect(self._sum, by_rate=True)
        if self.sample and self.args.eval_sample_rows:
            # Every process decodes all of it: under FSDP2 their forwards gather weights from each other.
            figures |= run_inside(self._network(), self._decode)
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in figures.items()})
        return output

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate as transformers does; the training's random state stays as it was."""
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(EVALUATION_SEED)
            return super().evaluate(*args, **kwargs)

    def _decode(self, network: Any) -> dict[str, float]:
        sample = self.sample[: self.args.eval_sample_rows]
        tokenizer: Any = self.processing_class
        return decode_sample(network, tokenizer, sample, self.args.eval_sample_steps)

    def _network(self) -> Any:
        """Return the model to evaluate: whole, or under FSDP2 sharded."""
        return self.model_wrapped if self.is_fsdp_enabled else self.model

    def _sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(tensor, "sum")

    # Log and checkpoints.

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log what the loss tells beside it (see ``training.training_metrics``)."""
        if "loss" in logs:
            figures = self._figures["train"].collect(self._sum, by_rate=False)
            figures.pop("loss", None)
            logs |= figures
        rounded = {name: float(f"{value:.6g}") for name, value in logs.items() if isinstance(value, float)}
        exact = {"loss", "eval_loss", "learning_rate"}
        logs |= {name: value for name, value in rounded.items() if name not in exact}
        super().log(logs, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model; every process must call this."""
        if not getattr(self.accelerator, "is_fsdp2", False):
            super().save_model(output_dir, _internal_call)
            return
        # All weights of the base would be gathered for an adapter of two hundredths their size.
        options = StateDictOptions(
            full_state_dict=True, cpu_offload=True, ignore_frozen_params=isinstance(self.model, PeftModel)
        )
        network: Any = self.model
        self._save(output_dir, get_model_state_dict(network, options=options))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Write a folder that loads by itself, without the pickled arguments that transformers adds."""
        if self.args.should_save:
            folder = Path(str(output_dir or self.args.output_dir))
            tokenizer: Any = self.processing_class or getattr(self.data_collator, "tokenizer", None)
            network = self.accelerator.unwrap_model(self.model)
            self.settings.apply(network)  # transformers gives it the tokenizer's special tokens
            # fp32 in training, but a bf16 base gains nothing from an adapter of twice the size.
            dtype = torch.bfloat16 if self.args.bf16 else None
            write_model(network, tokenizer, folder, state_dict, self.args.max_shard_size, dtype)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint that counts only when it is whole; older ones go after that."""
        run = Path(str(self.args.output_dir))
        folder = run / f"checkpoint-{self.state.global_step}"
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            if self.args.should_save:
                discard(folder)  # a half-written one of a run that was killed
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)
            if self.args.should_save and self._lean_adapter and not self.is_fsdp_enabled:
                save_trained(self.model, folder)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                mark_complete(folder)
        except (OSError, RuntimeError, SafetensorError) as error:
            if not self.args.should_save:
                raise  # the process that writes knows why
            discard(folder)
            raise CheckpointNotWritten(folder, last_whole(run), error) from error
        finally:
            self.args.save_total_limit = limit
        if self.args.should_save:
            rotate_checkpoints(str(run), limit, self.state.best_model_checkpoint, use_mtime=True)
