"""Which slots a step reveals: confidence, budget, remasking. Everything is per row and in fp32."""

import torch

ALGORITHMS = ("maskgit_plus", "topk_margin", "entropy")
SCHEDULES = ("uniform", "dream")
DREAM_LAST_TIME = 1e-3
REMASKING_CAP = 0.1


def confidence(log_probs: torch.Tensor, algorithm: str) -> torch.Tensor:
    """Return how sure the network is of each slot, ``[batch, slots]``; higher is surer.

    Args:
        log_probs: normalised, fp32, ``[batch, slots, symbols]``.
        algorithm: ``"maskgit_plus"`` the probability of the best symbol (Chang et al. 2022),
            ``"topk_margin"`` best minus second best (Kim et al. 2025), ``"entropy"`` negative entropy.
    """
    probs = log_probs.exp()
    if algorithm == "maskgit_plus":
        return probs.amax(-1)
    if algorithm == "topk_margin":
        best = probs.topk(2, dim=-1).values
        return best[..., 0] - best[..., 1]
    # A symbol of probability 0 adds nothing (0 log 0 = 0).
    return torch.where(probs > 0, probs * log_probs, 0.0).sum(-1)


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
    ranked = scores.masked_fill(~eligible, float("-inf")).sort(dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(ranked).scatter_(
        1, ranked, torch.arange(ranked.shape[1], device=ranked.device).expand_as(ranked)
    )
    return (rank < budget[:, None]) & eligible


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
