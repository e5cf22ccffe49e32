"""The denoising loop."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .heads import candidate_logits
from .network import Denoiser
from .projection import FreeProjection, GroundedProjection, TagProjection, perturb
from .tagging import OUTSIDE
from .unmasking import (
    ALGORITHMS,
    REMASKING_CAP,
    SCHEDULES,
    confidence,
    remasking_budget,
    reveal_budget,
    top_slots,
)


@dataclass(frozen=True)
class LoopSettings:
    """How the canvas is denoised.

    Args:
        steps: network forwards, at least 1. A canvas with fewer slots takes no more than it has.
        algorithm: what makes a slot sure, see ``unmasking.confidence``.
        schedule: how many slots a step reveals, see ``unmasking.reveal_budget``.
        pad_penalty: taken off the logit of padding at the first step, falling to 0 at the last
            (completion canvas only): without it an early step declares the answer finished.
        remasking: whether revealed slots of low confidence are masked again (ReMDM).
        temperature: of the sampling; 0 takes the best.
        outside_bias: added to the logit of O (aligned canvas only).
    """

    steps: int = 8
    algorithm: str = "maskgit_plus"
    schedule: str = "uniform"
    pad_penalty: float = 0.0
    remasking: bool = False
    temperature: float = 0.0
    outside_bias: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {self.steps!r}")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {ALGORITHMS}, got {self.algorithm!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, got {self.schedule!r}")
        for name in ("temperature", "pad_penalty", "outside_bias"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
            if value < 0 and name != "outside_bias":
                raise ValueError(f"{name} must not be negative, got {value!r}")


@dataclass
class DenoisingStep:
    """The canvas after one step.

    ``ids`` are token ids ``[batch, slots]``, masks included; ``confidence`` the probability each revealed
    symbol had when it was revealed (0 where masked); ``choice`` the symbol numbers of the whole projected
    canvas, masked slots included; ``states`` (grounded) its automaton states; ``log_probs``
    (aligned canvas) each slot's distribution when it was revealed, or now if it is masked,
    ``[batch, slots, symbols]``.
    """

    number: int
    ids: torch.Tensor
    confidence: torch.Tensor
    choice: torch.Tensor
    states: torch.Tensor | None
    log_probs: torch.Tensor | None
    forwards: int


@torch.no_grad()
def denoise(
    denoiser: Denoiser,
    settings: LoopSettings,
    projection: FreeProjection | TagProjection | GroundedProjection,
    candidates: torch.Tensor | None,
    generator: torch.Generator | None = None,
) -> Iterator[DenoisingStep]:
    """Yield the canvas after each step, from all masks to none.

    Args:
        denoiser: the network over a batch of prompts and their canvas.
        settings: of the loop.
        projection: what a canvas may hold.
        candidates: the token ids that symbol numbers stand for, ``[batch, symbols]``; None: the
            vocabulary itself.
        generator: of the noise, with a temperature.
    """
    canvas = denoiser.canvas
    aligned = canvas.kind == "aligned"
    mask_id, pad_id = denoiser.settings.mask_token_id, denoiser.settings.pad_token_id
    fill = denoiser.settings.outside_token_id if aligned else pad_id
    ids = torch.where(canvas.mask, mask_id, fill)
    open_ = canvas.mask.clone()
    known = torch.full_like(ids, -1)
    sureness = torch.zeros(ids.shape, dtype=torch.float32, device=ids.device)
    kept: torch.Tensor | None = None
    for step in range(settings.steps):
        # 1. Predict every masked slot, in fp32.
        log_probs = _log_probs(denoiser, ids, settings, step, candidates)
        # 2. Choose symbols that may stand together, the revealed ones held fixed.
        proposal = projection(perturb(log_probs, settings.temperature, generator), known, canvas.mask)
        chosen = log_probs.gather(2, proposal.choice[..., None])[..., 0].exp()
        scores = confidence(log_probs, settings.algorithm)
        if isinstance(projection, GroundedProjection | TagProjection) or settings.temperature > 0:
            scores = chosen  # the network's best symbol need not be the one that is written
        # 3. Reveal the surest slots, as many as this row's budget says.
        token = proposal.choice if candidates is None else candidates.gather(1, proposal.choice)
        reveal = _reveal(open_, token == pad_id, scores, step, settings)
        ids = torch.where(reveal, token, ids)
        known = torch.where(reveal, proposal.choice, known)
        sureness = torch.where(reveal, chosen, sureness)
        if aligned:
            kept = log_probs if kept is None else torch.where(open_[..., None], log_probs, kept)
        open_ &= ~reveal
        yield DenoisingStep(step, ids, sureness, proposal.choice, proposal.states, kept, denoiser.forwards)
        # 4. Optionally mask the least sure ones again.
        if settings.remasking and step + 1 < settings.steps:
            revealed = canvas.mask & ~open_
            again = top_slots(
                -sureness,
                revealed,
                remasking_budget(revealed.sum(1), step, settings.steps, REMASKING_CAP),
            )
            ids = ids.masked_fill(again, mask_id)
            known = known.masked_fill(again, -1)
            sureness = sureness.masked_fill(again, 0.0)
            open_ |= again
        if not open_.any():
            break


def _reveal(
    open_: torch.Tensor, padding: torch.Tensor, scores: torch.Tensor, step: int, settings: LoopSettings
) -> torch.Tensor:
    """Return which masked slots this step reveals, bool ``[batch, slots]``.

    The uniform schedule spreads the answer over the steps, not the padding behind it: padding, the surest
    symbol of all, would use up the first steps and leave the answer to the last. A row's padding is revealed
    with the last of its answer.
    """
    if settings.schedule != "uniform":
        return top_slots(scores, open_, reveal_budget(open_.sum(1), step, settings.steps, settings.schedule))
    content = open_ & ~padding
    budget = reveal_budget(content.sum(1), step, settings.steps, settings.schedule)
    reveal = top_slots(scores, content, budget)
    return torch.where((content & ~reveal).any(1, keepdim=True), reveal, open_)


def _log_probs(
    denoiser: Denoiser, ids: torch.Tensor, settings: LoopSettings, step: int, candidates: torch.Tensor | None
) -> torch.Tensor:
    """Return normalised log-probabilities ``[batch, slots, symbols]``, penalty and bias applied."""
    canvas = denoiser.canvas
    hidden = denoiser.hidden(ids)
    logits = candidate_logits(
        denoiser.model, canvas, denoiser.prompt, denoiser.prompt_hidden, hidden, candidates
    )
    if canvas.kind == "aligned":
        logits[..., OUTSIDE] += settings.outside_bias
    else:
        penalty = settings.pad_penalty * (1 - (step + 1) / settings.steps)
        if penalty > 0:
            pad = denoiser.settings.pad_token_id
            if candidates is None:
                logits[..., pad] -= penalty
            else:
                logits -= penalty * (candidates == pad)[:, None].to(logits.dtype)
    return logits.log_softmax(-1)
