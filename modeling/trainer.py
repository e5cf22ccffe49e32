"""The Trainer with the diffusion loss."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer

from modeling.arguments import DiffusionArguments
from modeling.batching import TokenBudgetBatchSampler
from modeling.custom_generate.settings import DiffusionSettings
from modeling.loss import TrainingBatch

EVALUATION_SEED = 1234


class DiffusionTrainer(Trainer):
    """Trains a masked-diffusion network on batches of ``modeling.collator``.

    The loss is divided by the number of canvas tokens of the whole accumulated batch (the Trainer counts
    them in ``labels``), not by the number masked: only then is it the bound, whatever the accumulation.

    Args:
        lengths: an estimate of each training row's tokens; needed with ``tokens_per_batch``.
        weights: how often each training row is drawn per epoch on average (default once).
    """

    args: DiffusionArguments

    def __init__(
        self, *args: Any, lengths: list[int] | None = None, weights: list[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.args.tokens_per_batch and lengths is None:
            raise ValueError("tokens_per_batch needs the lengths of the training rows")
        self.model_accepts_loss_kwargs = True  # so that the Trainer counts tokens and divides by nothing more
        self.settings = DiffusionSettings.of(self.model)
        self.diffusion_loss = self.args.loss()
        self._lengths, self._weights = lengths, weights
        self._parts: dict[str, list[torch.Tensor]] = defaultdict(list)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the diffusion loss of one batch."""
        tokens = num_items_in_batch
        if tokens is None:
            tokens = (inputs["labels"] != -100).sum()
        with self.accelerator.autocast():
            output = self.diffusion_loss(model, self.settings, TrainingBatch.from_tensors(inputs))
        loss = output.loss / tokens
        stage = "" if model.training else "eval_"
        for name, value in output.parts.items():
            self._parts[stage + name].append(value)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        return (loss, {"loss": loss}) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor, None, None]:
        """Return the loss at masks that are the same at every evaluation, so that checkpoints compare."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self._evaluation_seed():
            loss = self.compute_loss(model, inputs)
        return loss.detach(), None, None

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate as transformers does, at queries that are the same for every run.

        The collator draws them in the loader's workers, whose seeds come from torch's global state.
        """
        with self._evaluation_seed():
            return super().evaluate(*args, **kwargs)

    @contextmanager
    def _evaluation_seed(self) -> Iterator[None]:
        """Seed torch for the evaluation and leave the training's random state as it was."""
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(EVALUATION_SEED)
            yield

    def get_train_dataloader(self) -> DataLoader:
        """Return batches of a token budget if one is set, of a number of rows otherwise."""
        if not self.args.tokens_per_batch:
            return super().get_train_dataloader()
        sampler = TokenBudgetBatchSampler(
            self._lengths or [], self.args.tokens_per_batch, self._weights, self.args.seed
        )
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=workers > 0 and self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor if workers else None,
        )
        return self.accelerator.prepare(loader)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log the parts of the loss beside it."""
        stage = "eval_" if "eval_loss" in logs else ""
        if stage or "loss" in logs:
            for name in [n for n in self._parts if n.startswith("eval_") == bool(stage)]:
                logs[name] = round(float(torch.stack(self._parts.pop(name)).mean()), 4)
        super().log(logs, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights and, with an adapter too, the diffusion settings."""
        super().save_model(output_dir, _internal_call)
        folder = Path(str(output_dir or self.args.output_dir))
        if self.args.should_save and folder.is_dir():
            model: Any = self.model
            model.generation_config.save_pretrained(folder)
