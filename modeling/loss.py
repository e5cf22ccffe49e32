"""The diffusion objective: mask the canvas, predict the masked slots, weigh by the bound."""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from modeling.custom_generate.heads import candidate_logits, has_pointer, tag_candidates
from modeling.custom_generate.network import Canvas, Prompt, forward_joint, shift
from modeling.custom_generate.settings import DiffusionSettings
from modeling.schedule import MIN_TIME, LogLinearSchedule, sample_times

IGNORE = -100


@dataclass(frozen=True)
class CanvasTargets:
    """One canvas of a training batch.

    ``ids`` are its clean symbols, int ``[batch, slots]``; ``scored`` which slots the loss counts (bool, same
    shape; default all of the canvas).
    """

    canvas: Canvas
    ids: torch.Tensor
    scored: torch.Tensor | None = None


@dataclass(frozen=True)
class TrainingBatch:
    """Prompts with one or two canvases each; ``type_counts`` ``[batch]`` is needed for an aligned canvas."""

    prompt: Prompt
    targets: list[CanvasTargets]
    type_counts: torch.Tensor | None = None

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "TrainingBatch":
        """Rebuild the batch from the flat dictionary a collator makes (see ``modeling.collator``)."""
        prompt = Prompt(
            tensors["prompt_ids"],
            tensors["prompt_mask"],
            tensors["prompt_positions"],
            tensors.get("prompt_token_types"),
            tensors.get("prompt_sources"),
            tensors.get("prompt_markers"),
        )
        targets = [
            CanvasTargets(
                Canvas(
                    kind,
                    tensors[f"{kind}_positions"],
                    tensors[f"{kind}_mask"],
                    tensors.get(f"{kind}_word_ids"),
                ),
                tensors[f"{kind}_ids"],
                tensors.get(f"{kind}_scored"),
            )
            for kind in ("completion", "aligned")
            if f"{kind}_ids" in tensors
        ]
        return cls(prompt, targets, tensors.get("type_counts"))


@dataclass
class LossOutput:
    """``loss`` is a sum over slots, not yet divided; ``parts`` are detached figures for the log."""

    loss: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class DiffusionLoss:
    """The masked-diffusion objective over either canvas.

    Args:
        pad_weight: weight of padding targets of the completion canvas, which outnumber the answer.
        max_weight: upper bound of the time weight; 1000 is the exact bound for t >= 1e-3, 4 clips at
            t = 0.25, which lowers the variance.
        aligned_full_mask_rate: share of aligned canvases that are masked whole (t = 1), as the first
            step of decoding sees them.
        aligned_weight: weight of the aligned canvas beside the completion canvas. Its slots all have
            the time weight 1: every slot is a tag, and the 1/t bound would drown the first step.
    """

    pad_weight: float = 0.05
    max_weight: float = 1 / MIN_TIME
    aligned_full_mask_rate: float = 0.5
    aligned_weight: float = 1.0
    schedule: LogLinearSchedule = field(default_factory=LogLinearSchedule)

    def __call__(self, model: Any, settings: DiffusionSettings, batch: TrainingBatch) -> LossOutput:
        """Return the loss summed over all slots of the batch.

        The steps are those of Sahoo et al. 2024, algorithm 1.
        """
        # 1. Draw a time for each example and canvas.
        times = [self._times(target) for target in batch.targets]
        # 2. Mask each slot with probability 1 - alpha(t). The prompt is never masked.
        noised = [
            corrupt(target.ids, target.canvas.mask, 1 - self.schedule.alpha(t), settings.mask_token_id)
            for target, t in zip(batch.targets, times, strict=True)
        ]
        # 3. Run the network over prompt and canvases.
        prompt_hidden, hiddens = forward_joint(
            model,
            batch.prompt,
            [target.canvas for target in batch.targets],
            [ids for ids, _ in noised],
            settings.prompt_attention,
        )
        total = prompt_hidden.new_zeros((), dtype=torch.float32)
        output = LossOutput(total)
        for target, t, (_, masked), hidden in zip(batch.targets, times, noised, hiddens, strict=True):
            # 4. Read each slot from the state that predicts it.
            states = shift(settings, target.canvas, batch.prompt, prompt_hidden, hidden)
            # 5. Cross-entropy on the masked slots only.
            if target.scored is not None:
                masked = masked & target.scored
            nll = slot_nll(model, settings, batch, target, prompt_hidden, states, masked)
            # 6. Weigh by time, and padding by its own weight.
            weight = self._weights(target, t, settings.pad_token_id)
            part = (nll * weight).sum()
            output.loss = output.loss + part
            kind = target.canvas.kind
            output.parts[f"{kind}_loss"] = (part / target.canvas.mask.sum().clamp(min=1)).detach()
            output.parts[f"{kind}_nll"] = (nll.sum() / masked.sum().clamp(min=1)).detach()
        return output

    def _times(self, target: CanvasTargets) -> torch.Tensor:
        t = sample_times(len(target.ids), target.ids.device)
        if target.canvas.kind == "aligned" and self.aligned_full_mask_rate > 0:
            whole = torch.rand(len(t), device=t.device) < self.aligned_full_mask_rate
            t = torch.where(whole, torch.ones_like(t), t)
        return t

    def _weights(self, target: CanvasTargets, t: torch.Tensor, pad_token_id: int) -> torch.Tensor:
        if target.canvas.kind == "aligned":
            return torch.full_like(t, self.aligned_weight)[:, None]
        weight = self.schedule.weight(t).clamp(max=self.max_weight)[:, None]
        return weight * torch.where(target.ids == pad_token_id, self.pad_weight, 1.0)


def corrupt(
    ids: torch.Tensor, valid: torch.Tensor, probability: torch.Tensor, mask_token_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask each valid slot with its row's probability.

    Args:
        ids: clean symbols ``[batch, slots]``.
        valid: which slots exist, bool ``[batch, slots]``.
        probability: of masking, ``[batch]``, in [0, 1].

    Returns:
        The noised symbols and which slots are masked, both ``[batch, slots]``.
    """
    masked = (torch.rand(ids.shape, device=ids.device) < probability[:, None]) & valid
    return ids.masked_fill(masked, mask_token_id), masked


def slot_nll(
    model: Any,
    settings: DiffusionSettings,
    batch: TrainingBatch,
    target: CanvasTargets,
    prompt_hidden: torch.Tensor,
    states: torch.Tensor,
    masked: torch.Tensor,
) -> torch.Tensor:
    """Return -log p(target) at the masked slots and 0 elsewhere, fp32 ``[batch, slots]``."""
    canvas, prompt = target.canvas, batch.prompt
    if canvas.kind == "aligned":
        if batch.type_counts is None:
            raise ValueError("an aligned canvas needs type_counts in the batch")
        candidates = tag_candidates(settings, batch.type_counts)
        logits = candidate_logits(model, canvas, prompt, prompt_hidden, states, candidates)
        index = (target.ids[:, :, None] == candidates[:, None]).long().argmax(-1)
        nll = F.cross_entropy(logits.transpose(1, 2), index, reduction="none")
        return nll.masked_fill(~masked, 0.0)
    if has_pointer(model):
        return _copy_nll(model, canvas, prompt, prompt_hidden, states, target.ids).masked_fill(~masked, 0.0)
    # The output layer runs on the masked slots only: [batch, slots, vocabulary] is never built.
    nll = torch.zeros(target.ids.shape, dtype=torch.float32, device=states.device)
    logits = candidate_logits(model, canvas, prompt, prompt_hidden, states[masked][None], None)[0]
    return nll.masked_scatter(masked, F.cross_entropy(logits, target.ids[masked], reduction="none"))


def _copy_nll(
    model: Any,
    canvas: Canvas,
    prompt: Prompt,
    prompt_hidden: torch.Tensor,
    states: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """A token's probability is that of all its sources; one that nothing holds is left out (nll 0)."""
    sources = prompt.mask.bool() if prompt.sources is None else prompt.sources
    logits = model.source_logits(canvas.kind, states, prompt_hidden, sources)
    same = model.source_ids(canvas.kind, prompt.ids)[:, None, :] == targets[:, :, None]
    # A large finite value, not -inf: the gradient of logsumexp over nothing but -inf is NaN.
    right = logits.masked_fill(~same, torch.finfo(logits.dtype).min).clamp(min=-1e9)
    reachable = (same & (logits > float("-inf"))).any(-1)
    nll = logits.logsumexp(-1) - right.logsumexp(-1)
    return torch.where(reachable, nll, torch.zeros_like(nll))
