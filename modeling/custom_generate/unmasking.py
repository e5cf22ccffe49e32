"""Which slots a step reveals: confidence, budget, adaptive rules, remasking. Per row, in fp32."""

import torch

ALGORITHMS = ("maskgit_plus", "topk_margin", "entropy")
SCHEDULES = ("uniform", "dream")
ADAPTIVE = ("threshold", "entropy")
DREAM_LAST_TIME = 1e-3
REMASKING_CAP = 0.1


def entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """Return the entropy of each slot's distribution in nats, ``[batch, slots]``.

    Args:
        log_probs: normalised, ``[batch, slots, symbols]``; a symbol of probability 0 adds nothing.
    """
    return -torch.where(log_probs > float("-inf"), log_probs.exp() * log_probs, 0.0).sum(-1)


def confidence(log_probs: torch.Tensor, algorithm: str) -> torch.Tensor:
    """Return how sure the network is of each slot, ``[batch, slots]``; higher is surer.

    Args:
        log_probs: normalised, fp32, ``[batch, slots, symbols]``.
        algorithm: ``"maskgit_plus"`` the probability of the best symbol (Chang et al. 2022),
            ``"topk_margin"`` best minus second best (Kim et al. 2025), ``"entropy"`` negative entropy.
    """
    if algorithm == "entropy":
        return -entropy(log_probs)
    probs = log_probs.exp()
    if algorithm == "maskgit_plus":
        return probs.amax(-1)
    best = probs.topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]


def reveal_budget(masked: torch.Tensor, step: int, steps: int, schedule: str) -> torch.Tensor:
    """Return how many slots each row reveals in this step, ``[batch]``.

    Args:
        masked: how many of each row's slots are still masked, ``[batch]``.
        step: the step's number, from 0.
        steps: how many there are. The last one reveals all that is left.
        schedule: ``"uniform"`` spreads what is left evenly over the steps left, at least one each;
            ``"dream"`` follows the official code: times 1 .. 1e-3 evenly spaced, the share
            1 - s/t of what is left, rounded down (but per row, not the batch's mean).
    """
    left = steps - step
    if left <= 1:
        return masked
    if schedule == "uniform":
        return -(-masked // left)
    times = torch.linspace(1, DREAM_LAST_TIME, steps + 1)
    return (masked.float().cpu() * (1 - times[step + 1] / times[step])).long().to(masked.device)


def top_slots(scores: torch.Tensor, eligible: torch.Tensor, budget: torch.Tensor) -> torch.Tensor:
    """Return, as bool ``[batch, slots]``, each row's ``budget`` eligible slots of the highest score.

    Ties go to the slot further left.
    """
    ranked = _ranked(scores, eligible)
    rank = torch.empty_like(ranked).scatter_(
        1, ranked, torch.arange(ranked.shape[1], device=ranked.device).expand_as(ranked)
    )
    return (rank < budget[:, None]) & eligible


def threshold_budget(chosen: torch.Tensor, eligible: torch.Tensor, threshold: float) -> torch.Tensor:
    """Return how many slots each row reveals under a confidence threshold, ``[batch]``, at least one.

    All whose symbol is at least this probable (Wu et al. 2025, "Fast-dLLM", arXiv 2505.22618); ranked by the
    same probability, they are the surest ones.

    Args:
        chosen: the probability of the symbol that each slot would show, ``[batch, slots]``.
        eligible: slots that may be revealed, bool ``[batch, slots]``.
        threshold: in (0, 1].
    """
    return ((chosen >= threshold) & eligible).sum(1).clamp(min=1)


def entropy_budget(
    scores: torch.Tensor, cost: torch.Tensor, eligible: torch.Tensor, bound: float
) -> torch.Tensor:
    """Return how many slots each row reveals under an entropy bound, ``[batch]``, at least one.

    The most, from the highest score down, whose entropies without the largest one sum to no more than the
    bound: a bound on how far the joint distribution of the slots can be from the product that they are drawn
    from (Ben-Hamu et al. 2025, "Accelerated Sampling from Masked Diffusion Models via Entropy Bounded
    Unmasking", arXiv 2505.24857).

    Args:
        scores: the order in which slots are taken, ``[batch, slots]``.
        cost: the entropy of each slot in nats, ``[batch, slots]``.
        eligible: slots that may be revealed, bool ``[batch, slots]``.
        bound: in nats, at least 0.
    """
    order = _ranked(scores, eligible)
    taken = cost.masked_fill(~eligible, float("inf")).gather(1, order)
    # The running sum without the running largest never falls, so the slots within the bound come first.
    joint = taken.cumsum(1) - taken.cummax(1).values
    return ((joint <= bound) & eligible.gather(1, order)).sum(1).clamp(min=1)


def remasking_budget(revealed: torch.Tensor, step: int, steps: int, cap: float) -> torch.Tensor:
    """Return how many revealed slots each row masks again after this step, ``[batch]``.

    The probability is ReMDM's capped one, min(cap, (1 - alpha_s) / alpha_t) with alpha(t) = 1 - t
    (Wang et al. 2025, arXiv 2503.00307, section 4.1), here as the expected count, rounded down: the
    least confident slots go, so that the count and not the chance decides. None after the last step.
    """
    if step + 1 == steps:
        return torch.zeros_like(revealed)
    t, s = 1 - step / steps, 1 - (step + 1) / steps
    bound = cap if step == 0 else min(cap, s / (1 - t))
    return (revealed * bound).long()


def _ranked(scores: torch.Tensor, eligible: torch.Tensor) -> torch.Tensor:
    """Return the slots of each row from the highest score down, ineligible ones last, ``[batch, slots]``."""
    # Two stable sorts: an eligible slot of score -inf still comes before all that are not eligible.
    by_score = scores.sort(dim=1, descending=True, stable=True).indices
    last = (~eligible).gather(1, by_score).sort(dim=1, stable=True).indices
    return by_score.gather(1, last)
