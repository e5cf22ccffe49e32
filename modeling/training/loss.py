"""The diffusion objective: mask the canvas, predict the masked slots, weigh by the bound."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from ..custom_generate.network import shift
from ..custom_generate.settings import DiffusionSettings
from .batch import CanvasTargets, TrainingBatch, forward_canvases
from .masked_cross_entropy import score_slots
from .masking import MASKS, MIN_RATE, BatchPlace, Noise, NoisedCanvas, mask_rates, noised_canvases


@dataclass(frozen=True)
class RowLosses:
    """What each row of one canvas under one mask gave, detached, ``[batch]`` each.

    ``rate`` is the row's mask rate in [0, 1], ``loss`` its part of the objective, ``nll`` the sum of its
    masked slots' -log p in nats, ``masked`` how many they are and ``slots`` how many the canvas has.
    """

    kind: str
    rate: torch.Tensor
    loss: torch.Tensor
    nll: torch.Tensor
    masked: torch.Tensor
    slots: torch.Tensor


@dataclass
class LossOutput:
    """``loss`` is a sum over slots, not yet divided; the rest is detached.

    ``parts`` are figures for the log: of each kind of canvas the loss a slot, the nll of a masked slot,
    with an entropy term that of a masked slot, and for completions the share of the loss that padding has.
    ``rows`` are the rows' own figures, one entry for each canvas and mask.
    """

    loss: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)
    rows: list[RowLosses] = field(default_factory=list)


@dataclass(frozen=True)
class DiffusionLoss:
    """The masked-diffusion objective over either canvas.

    Its expectation over times and masks is, a slot, the mean over uniform mask rates in [1e-3, 1] of the
    rate's weight times the cross-entropy of the masked slots. Low discrepancy and masks change the variance
    of the estimate alone; the other settings change what is estimated.

    Args:
        pad_weight: weight of padding targets of the completion canvas, which outnumber the answer.
        max_weight: upper bound of the rate's weight 1 / rate; 1000 is the exact bound (rates are at least
            1e-3), 4 clips at the rate 0.25, which lowers the variance.
        aligned_full_mask_rate: share of aligned canvases that are masked whole (t = 1), as the first
            step of decoding sees them.
        aligned_weight: weight of the aligned canvas beside the completion canvas. Its slots all have
            the rate weight 1: every slot is a tag, and the 1/t bound would drown the first step.
        low_discrepancy: whether the times of a batch are spaced evenly, or each drawn by itself.
        masks: ``"single"`` or ``"complementary"`` (see ``training.masking``); a pair costs two forwards of
            a canvas.
        entropy_weight: weight of the entropy of masked slots whose best symbol is right already. It pushes
            them towards certainty, so that a step of decoding can commit more of them (certainty forcing,
            Chen et al. 2025, "dParallel", arXiv 2509.26488; without its distillation).

    Raises:
        ValueError: a setting is out of its range.
    """

    pad_weight: float = 0.05
    max_weight: float = 1 / MIN_RATE
    aligned_full_mask_rate: float = 0.5
    aligned_weight: float = 1.0
    low_discrepancy: bool = True
    masks: str = "single"
    entropy_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pad_weight", "aligned_full_mask_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not self.max_weight >= 1:
            raise ValueError(f"max_weight must be at least 1 (the weight at t = 1), got {self.max_weight}")
        for name in ("aligned_weight", "entropy_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.masks not in MASKS:
            raise ValueError(f"masks must be one of {MASKS}, got {self.masks!r}")

    def __call__(
        self,
        model: Any,
        settings: DiffusionSettings,
        batch: TrainingBatch,
        place: BatchPlace | None = None,
        times: torch.Tensor | None = None,
    ) -> LossOutput:
        """Return the loss summed over all slots of the batch.

        The steps are those of Sahoo et al. 2024, algorithm 1.

        Args:
            model: the network.
            settings: its diffusion settings.
            batch: prompts and clean canvases.
            place: of the batch in the global one; None draws from torch's global random state.
            times: fixed times in (0, 1] instead of drawn ones, ``[batch]``, for all canvases.
        """
        noise = Noise(batch.prompt.ids.device, place)
        # 1. Draw a time for each example and canvas.
        rates = [self._rates(target, noise, times) for target in batch.targets]
        # 2. Mask each slot with probability t. The prompt is never masked.
        noised = [
            (target, canvas)
            for target, rate in zip(batch.targets, rates, strict=True)
            for canvas in self._mask(target, rate, noise, settings.mask_token_id)
        ]
        # 3. Run the network over prompt and canvases.
        hiddens = forward_canvases(
            model,
            batch.prompt,
            [target.canvas for target, _ in noised],
            [canvas.ids for _, canvas in noised],
            settings.prompt_attention,
            settings.type_attention,
            batch.longest if len(noised) == len(batch.targets) else None,  # a pair of masks doubles canvases
        )
        log = _Log(settings.pad_token_id)
        total = hiddens[0][0].new_zeros((), dtype=torch.float32)
        for (target, canvas), (prompt_hidden, hidden) in zip(noised, hiddens, strict=True):
            # 4. Read each slot from the state that predicts it.
            states = shift(settings, target.canvas, batch.prompt, prompt_hidden, hidden)
            # 5. Cross-entropy on the masked slots only.
            masked = canvas.masked if target.scored is None else canvas.masked & target.scored
            scores = score_slots(
                model, settings, batch, target, prompt_hidden, states, masked, self.entropy_weight > 0
            )
            # 6. Weigh by rate and share, and padding by its own weight.
            slot_weights = canvas.share[:, None] * self._slot_weights(target, settings.pad_token_id)
            loss = scores.nll * slot_weights * self._rate_weights(target, canvas)
            if scores.entropy is not None:
                loss = loss + self.entropy_weight * slot_weights * scores.entropy
            total = total + loss.sum()
            log.add(target, canvas, masked, loss.detach(), scores.nll.detach(), scores.entropy)
        return LossOutput(total, log.parts(), log.rows)

    def plain(self) -> "DiffusionLoss":
        """Return the objective under single masks and without the entropy term.

        Two runs with unlike switches compare by it.
        """
        return DiffusionLoss(
            self.pad_weight, self.max_weight, self.aligned_full_mask_rate, self.aligned_weight
        )

    def _rates(self, target: CanvasTargets, noise: Noise, times: torch.Tensor | None) -> torch.Tensor:
        """Return the mask rate of each row, ``[batch]``."""
        kind, count = target.canvas.kind, len(target.ids)
        if times is not None:
            return times.to(target.ids.device, torch.float32)
        spread = noise.even if self.low_discrepancy else noise.rows
        rates = mask_rates(spread(count, f"{kind} times"))
        if kind == "aligned" and self.aligned_full_mask_rate > 0:
            whole = noise.rows(count, f"{kind} whole") < self.aligned_full_mask_rate
            rates = rates.masked_fill(whole, 1.0)
        return rates

    def _mask(
        self, target: CanvasTargets, rate: torch.Tensor, noise: Noise, mask_token_id: int
    ) -> list[NoisedCanvas]:
        uniforms = noise.slots(target.ids.shape, f"{target.canvas.kind} slots")
        return noised_canvases(target.ids, target.canvas.mask, uniforms, rate, mask_token_id, self.masks)

    def _slot_weights(self, target: CanvasTargets, pad_token_id: int) -> torch.Tensor:
        if target.canvas.kind == "aligned":
            return torch.full(target.ids.shape, self.aligned_weight, device=target.ids.device)
        return torch.where(target.ids == pad_token_id, self.pad_weight, 1.0)

    def _rate_weights(self, target: CanvasTargets, canvas: NoisedCanvas) -> torch.Tensor:
        """Return the weights of the bound, ``[batch, 1]``."""
        if target.canvas.kind == "aligned":
            return torch.ones_like(canvas.rate)[:, None]
        return (1 / canvas.rate.clamp(min=MIN_RATE)).clamp(max=self.max_weight)[:, None]


class _Log:
    """Collects figures over canvases and masks."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id
        self.rows: list[RowLosses] = []
        self._sums: dict[str, dict[str, torch.Tensor]] = {}

    def add(
        self,
        target: CanvasTargets,
        canvas: NoisedCanvas,
        masked: torch.Tensor,
        loss: torch.Tensor,
        nll: torch.Tensor,
        entropy: torch.Tensor | None,
    ) -> None:
        """Take note of one canvas under one mask: ``masked``, ``loss`` and ``nll`` are ``[batch, slots]``."""
        kind, slots = target.canvas.kind, target.canvas.mask.sum(1)
        self.rows.append(RowLosses(kind, canvas.rate, loss.sum(1), nll.sum(1), masked.sum(1), slots))
        new = {"loss": loss.sum(), "nll": nll.sum(), "masked": masked.sum()}
        if kind == "completion":
            new["padding"] = loss.masked_fill(target.ids != self.pad_token_id, 0.0).sum()
        if entropy is not None:
            new["entropy"] = entropy.detach().sum()
        sums = self._sums.setdefault(kind, {})
        for name, value in new.items():
            sums[name] = sums.get(name, torch.zeros_like(value)) + value
        sums["slots"] = slots.sum()

    def parts(self) -> dict[str, torch.Tensor]:
        """Return the figures for the log."""
        found = {}
        for kind, sums in self._sums.items():
            found[f"{kind}_loss"] = sums["loss"] / sums["slots"].clamp(min=1)
            for name in [name for name in ("nll", "entropy") if name in sums]:
                found[f"{kind}_{name}"] = sums[name] / sums["masked"].clamp(min=1)
            if "padding" in sums:
                tiny = torch.finfo(torch.float32).tiny
                found[f"{kind}_pad_share"] = sums["padding"] / sums["loss"].clamp(min=tiny)
        return found


def stop_at_bad_loss(loss: torch.Tensor, inputs: Mapping[str, Any], folder: Path, step: int) -> None:
    """Stop before a loss that is NaN or infinite reaches the weights, and save its batch.

    Args:
        loss: scalar.
        inputs: the batch; its tensors are written as safetensors, its place in the step as metadata.
        folder: where ``bad_batch/step-{step}-process-{rank}.safetensors`` goes.
        step: how many optimiser steps were done.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    if bool(torch.isfinite(loss.detach())):
        return
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    path = folder / "bad_batch" / f"step-{step}-process-{rank}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in inputs.items() if isinstance(v, torch.Tensor)}
    others = {k: repr(v) for k, v in inputs.items() if not isinstance(v, torch.Tensor)}
    save_file(tensors, path, metadata={"loss": str(loss.item()), "step": str(step), **others})
    raise FloatingPointError(
        f"the loss of step {step + 1} is {loss.item()}; training stopped before the weights changed. "
        f"The batch is in {path}: look for a row that is odd, or lower learning_rate or max_weight, "
        "and go on with --resume"
    )
