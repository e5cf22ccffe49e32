"""The diffusion objective: mask the canvas, predict the masked slots, weigh by the bound."""

from dataclasses import dataclass, field
from typing import Any

import torch

from ..custom_generate.network import shift
from ..custom_generate.settings import DiffusionSettings
from .batch import CanvasTargets, TrainingBatch
from .importance_sampling import TimeDensity
from .masked_cross_entropy import score_slots
from .masking import MASKS, NoisedCanvas, context_weights, noised_canvases
from .noise import BatchPlace, Noise
from .packing import forward_canvases
from .schedule import MIN_RATE, LogLinearSchedule, Schedule


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
class _Draw:
    """Of one canvas, ``[batch]`` each: quantile of the time, mask rate, measure, density, whether whole."""

    time: torch.Tensor
    rate: torch.Tensor
    measure: torch.Tensor
    density: torch.Tensor
    whole: torch.Tensor


@dataclass(frozen=True)
class DiffusionLoss:
    """The masked-diffusion objective over either canvas.

    Its expectation over times and masks is, a slot, the mean over uniform mask rates in [1e-3, 1] of the
    rate's weight times the cross-entropy of the masked slots. Schedule, low discrepancy, masks and densities
    change the variance of the estimate alone; the other settings change what is estimated.

    Args:
        pad_weight: weight of padding targets of the completion canvas, which outnumber the answer.
        max_weight: upper bound of the rate's weight 1 / rate; 1000 is the exact bound (rates are at least
            1e-3), 4 clips at the rate 0.25, which lowers the variance.
        aligned_full_mask_rate: share of aligned canvases that are masked whole (t = 1), as the first
            step of decoding sees them.
        aligned_weight: weight of the aligned canvas beside the completion canvas. Its slots all have
            the rate weight 1: every slot is a tag, and the 1/t bound would drown the first step.
        schedule: how often each mask rate is drawn.
        low_discrepancy: whether the times of a batch are spaced evenly, or each drawn by itself.
        masks: ``"single"``, ``"complementary"`` or ``"mirror"`` (see ``training.masking``); a pair costs
            two forwards of a canvas.
        cart_p: parameter of CART's weights (see ``context_weights``), in (0, 1]; 0 turns them off.
        entropy_weight: weight of the entropy of masked slots whose best symbol is right already. It pushes
            them towards certainty, so that a step of decoding can commit more of them (certainty forcing,
            Chen et al. 2025, "dParallel", arXiv 2509.26488; without its distillation).
        densities: P-POTS, one density of times for each kind of canvas; None draws times uniformly. They
            learn from training batches and change when ``step`` is called.

    Raises:
        ValueError: a setting is out of its range.
    """

    pad_weight: float = 0.05
    max_weight: float = 1 / MIN_RATE
    aligned_full_mask_rate: float = 0.5
    aligned_weight: float = 1.0
    schedule: Schedule = field(default_factory=LogLinearSchedule)
    low_discrepancy: bool = True
    masks: str = "single"
    cart_p: float = 0.0
    entropy_weight: float = 0.0
    densities: dict[str, TimeDensity] | None = None

    def __post_init__(self) -> None:
        for name in ("pad_weight", "aligned_full_mask_rate", "cart_p"):
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
        draws = [self._draw(target, noise, times) for target in batch.targets]
        # 2. Mask each slot with probability 1 - alpha(t). The prompt is never masked.
        noised = [
            (target, draw, canvas)
            for target, draw in zip(batch.targets, draws, strict=True)
            for canvas in self._mask(target, draw, noise, settings.mask_token_id)
        ]
        # 3. Run the network over prompt and canvases.
        hiddens = forward_canvases(
            model,
            batch.prompt,
            [target.canvas for target, _, _ in noised],
            [canvas.ids for _, _, canvas in noised],
            settings.prompt_attention,
        )
        log = _Log(settings.pad_token_id)
        total = hiddens[0][0].new_zeros((), dtype=torch.float32)
        for (target, draw, canvas), (prompt_hidden, hidden) in zip(noised, hiddens, strict=True):
            # 4. Read each slot from the state that predicts it.
            states = shift(settings, target.canvas, batch.prompt, prompt_hidden, hidden)
            # 5. Cross-entropy on the masked slots only.
            masked = canvas.masked if target.scored is None else canvas.masked & target.scored
            scores = score_slots(
                model, settings, batch, target, prompt_hidden, states, masked, self.entropy_weight > 0
            )
            # 6. Weigh by rate, context and measure, and padding by its own weight.
            slot_weights = canvas.measure[:, None] * self._slot_weights(target, settings.pad_token_id)
            loss = scores.nll * slot_weights * self._rate_weights(batch, target, canvas)
            if scores.entropy is not None:
                loss = loss + self.entropy_weight * slot_weights * scores.entropy
            total = total + loss.sum()
            log.add(target, draw, canvas, masked, loss.detach(), scores.nll.detach(), scores.entropy)
        if times is None and torch.is_grad_enabled():
            self._record(log)
        return LossOutput(total, log.parts(), [rows for rows, _ in log.rows])

    def plain(self) -> "DiffusionLoss":
        """Return the objective under single masks at uniform rates, without CART's weights and entropy.

        Two runs with unlike switches compare by it.
        """
        return DiffusionLoss(
            self.pad_weight, self.max_weight, self.aligned_full_mask_rate, self.aligned_weight
        )

    def step(self) -> None:
        """Let the densities of times follow the losses seen; call it after each optimiser step.

        Under several processes all of them must call it.
        """
        for density in (self.densities or {}).values():
            density.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what the objective learnt (the densities of times), for a checkpoint; JSON can hold it."""
        return {kind: density.state_dict() for kind, density in (self.densities or {}).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it was saved with other densities.
        """
        own = self.densities or {}
        if set(state) != set(own):
            raise ValueError(
                f"the saved objective has densities for {sorted(state)}, this one for {sorted(own)}; "
                "go on with the importance_sampling that the run was started with"
            )
        for kind, density in own.items():
            density.load_state_dict(state[kind])

    def _draw(self, target: CanvasTargets, noise: Noise, times: torch.Tensor | None) -> _Draw:
        kind, count = target.canvas.kind, len(target.ids)
        start, ones = self.schedule.start, torch.ones(count, device=target.ids.device)
        whole = torch.zeros_like(ones, dtype=torch.bool)
        if times is not None:
            t = times.to(ones)
            return _Draw(
                (t - start) / (1 - start), self.schedule.rate(t), self.schedule.measure(t), ones, whole
            )
        spread = noise.even if self.low_discrepancy else noise.rows
        quantiles, density = spread(count, f"{kind} times"), ones
        if self.densities is not None:
            quantiles, density = self.densities[kind].draw(quantiles)
        t = start + (1 - start) * quantiles
        rate, measure = self.schedule.rate(t), self.schedule.measure(t) / density
        if kind == "aligned" and self.aligned_full_mask_rate > 0:
            whole = noise.rows(count, f"{kind} whole") < self.aligned_full_mask_rate
            rate, measure = torch.where(whole, ones, rate), torch.where(whole, ones, measure)
        return _Draw(quantiles, rate, measure, density, whole)

    def _mask(
        self, target: CanvasTargets, draw: _Draw, noise: Noise, mask_token_id: int
    ) -> list[NoisedCanvas]:
        uniforms = noise.slots(target.ids.shape, f"{target.canvas.kind} slots")
        return noised_canvases(
            target.ids, target.canvas.mask, uniforms, draw.rate, draw.measure, mask_token_id, self.masks
        )

    def _slot_weights(self, target: CanvasTargets, pad_token_id: int) -> torch.Tensor:
        if target.canvas.kind == "aligned":
            return torch.full(target.ids.shape, self.aligned_weight, device=target.ids.device)
        return torch.where(target.ids == pad_token_id, self.pad_weight, 1.0)

    def _rate_weights(
        self, batch: TrainingBatch, target: CanvasTargets, canvas: NoisedCanvas
    ) -> torch.Tensor:
        """Return the weights of the bound, and CART's, ``[batch, slots]`` or ``[batch, 1]``."""
        completion = target.canvas.kind == "completion"
        weights = torch.ones_like(canvas.rate)[:, None]
        if completion:
            weights = (1 / canvas.rate.clamp(min=MIN_RATE)).clamp(max=self.max_weight)[:, None]
        if self.cart_p > 0:
            # A completion goes on where the prompt ends; an aligned canvas stands for itself.
            before = batch.prompt.mask.sum(1) if completion else None
            weights = weights * context_weights(canvas.masked, target.canvas.mask, self.cart_p, before)
        return weights

    def _record(self, log: "_Log") -> None:
        """Give the densities each row's loss over all its masks, as it is without importance weights."""
        if self.densities is None:
            return
        losses: dict[str, tuple[_Draw, torch.Tensor]] = {}
        for rows, draw in log.rows:
            before = losses[rows.kind][1] if rows.kind in losses else 0.0
            losses[rows.kind] = (draw, before + rows.loss * draw.density)
        for kind, (draw, loss) in losses.items():
            self.densities[kind].record(draw.time[~draw.whole], loss[~draw.whole])


class _Log:
    """Collects figures over canvases and masks."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id
        self.rows: list[tuple[RowLosses, _Draw]] = []
        self._sums: dict[str, dict[str, torch.Tensor]] = {}

    def add(
        self,
        target: CanvasTargets,
        draw: _Draw,
        canvas: NoisedCanvas,
        masked: torch.Tensor,
        loss: torch.Tensor,
        nll: torch.Tensor,
        entropy: torch.Tensor | None,
    ) -> None:
        """Take note of one canvas under one mask: ``masked``, ``loss`` and ``nll`` are ``[batch, slots]``."""
        kind, slots = target.canvas.kind, target.canvas.mask.sum(1)
        self.rows.append((RowLosses(kind, canvas.rate, loss.sum(1), nll.sum(1), masked.sum(1), slots), draw))
        new = {"loss": loss.sum(), "nll": nll.sum(), "masked": masked.sum()}
        if kind == "completion":
            new["padding"] = loss[target.ids == self.pad_token_id].sum()
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
