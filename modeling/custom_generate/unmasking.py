"""Which slots a step reveals: the table of rules, and what they compute. Per row, in fp32."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

MODES = ("aligned", "grounded", "plain")  # what a canvas may hold, see ``config.DecodingConfig.mode``
DREAM_LAST_TIME = 1e-3
REMASKING_CAP = 0.1
ROUNDING = 1e-4  # sums of fp32 shares that should be whole may lie this much below


@dataclass(frozen=True)
class Slots:
    """What a rule sees of some rows in one step.

    Args:
        rows: which rows of the batch they are, ``[rows]``.
        step: the step's number, from 0.
        eligible: the slots that may be revealed, bool ``[rows, slots]``.
        chosen: the probability of the symbol that each slot would show, ``[rows, slots]``.
        scores: the order in which slots are revealed, the highest first, ``[rows, slots]``.
        cost: what the adaptive rule's ``cost`` makes of each slot, ``[rows, slots]``; None: it has none.
    """

    rows: torch.Tensor
    step: int
    eligible: torch.Tensor
    chosen: torch.Tensor
    scores: torch.Tensor
    cost: torch.Tensor | None = None


@dataclass(frozen=True)
class Rule:
    """One rule of unmasking: an entry of ``RULES``.

    Args:
        run: of an ``algorithm``, how sure the network is of each slot ``[rows, slots]`` (higher is surer),
            given normalised log-probabilities ``[rows, slots, symbols]``; of a ``schedule`` and of an
            ``adaptive`` rule, how many slots each row reveals ``[rows]``, given Slots and a DecodingConfig.
        uses: options of the config that only such a rule reads; without it they are refused.
        modes: where the rule can be used.
        by_probability: whether slots are ranked by the probability of their symbol, not by the algorithm.
        padding_waits: of a schedule, whether padding is revealed with the last of a row's answer.
        finishes: of a schedule, whether the last step writes a symbol into every slot. In any other step a
            slot of a plain completion whose best symbol is the mask itself stays masked; in the official code
            in the last one too.
        cost: of an adaptive rule, what revealing each slot costs ``[rows, slots]``, given normalised
            log-probabilities and the probabilities of the chosen symbols.
    """

    run: Callable[..., torch.Tensor]
    uses: tuple[str, ...] = ()
    modes: tuple[str, ...] = MODES
    by_probability: bool = False
    padding_waits: bool = False
    finishes: bool = False
    cost: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None


def entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """Return the entropy of each slot's distribution in nats, ``[batch, slots]``.

    Args:
        log_probs: normalised, ``[batch, slots, symbols]``; a symbol of probability 0 adds nothing.
    """
    return -torch.where(log_probs > float("-inf"), log_probs.exp() * log_probs, 0.0).sum(-1)


def best_probability(log_probs: torch.Tensor) -> torch.Tensor:
    """Return the probability of each slot's best symbol, ``[batch, slots]`` (Chang et al. 2022)."""
    return log_probs.exp().amax(-1)


def margin(log_probs: torch.Tensor) -> torch.Tensor:
    """Return how much the best symbol's probability is above the second best's (Kim et al. 2025)."""
    best = log_probs.exp().topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]


def negative_entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """Return the negative entropy of each slot's distribution, in nats."""
    return -entropy(log_probs)


def uniform_budget(masked: torch.Tensor, step: int, steps: int) -> torch.Tensor:
    """Return how many slots each row reveals in this step, ``[batch]``: its share of the steps left.

    Args:
        masked: how many of each row's slots are still masked, ``[batch]``.
        step: the step's number, from 0.
        steps: how many there are. The last one reveals all that is left, the others one at least.
    """
    return -(-masked // (steps - step))


def dream_budget(masked: torch.Tensor, step: int, steps: int) -> torch.Tensor:
    """Return how many slots each row reveals by the official code's counts; see ``uniform_budget``.

    Times 1 .. 1e-3 are evenly spaced; a step reveals the share 1 - s/t of what is left, rounded down (but per
    row, not the batch's mean), the last one all.
    """
    if step + 1 == steps:
        return masked
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


def surprise_or_entropy(log_probs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return what a slot takes of the entropy bound: its entropy, or its symbol's surprise if that is more.

    The best symbol's surprise is never more than the entropy, so only slots that are written otherwise than
    the network likes pay for it.
    """
    return entropy(log_probs).maximum(-chosen.clamp(min=1e-30).log())


def remasking_share(step: int, steps: int) -> float:
    """Return the probability with which a revealed slot is masked again after this step.

    ReMDM's capped one, min(cap, (1 - alpha_s) / alpha_t) with alpha(t) = 1 - t (Wang et al. 2025, arXiv
    2503.00307, section 4.1). None after the last step.
    """
    if step + 1 == steps:
        return 0.0
    t, s = 1 - step / steps, 1 - (step + 1) / steps
    return REMASKING_CAP if step == 0 else min(REMASKING_CAP, s / (1 - t))


def remasking_budget(
    revealed: torch.Tensor, share: float, owed: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many revealed slots each row masks again, and what it then owes, both ``[batch]``.

    The expected count is ``share`` of the revealed slots, and what whole slots leave of it is carried to the
    next step. So a row that has masked again as many slots as it could, over all steps, has masked their
    expected number, rounded; a short canvas too. The least confident slots go, so that the count and not the
    chance decides.

    Args:
        revealed: how many of each row's slots are revealed, ``[batch]``.
        share: see ``remasking_share``.
        owed: what the row owes from the steps before, fp32 ``[batch]``; one half before the first, so that
            the total is rounded and not cut.
    """
    due = owed + revealed * share
    count = (due + ROUNDING).floor().minimum(revealed.to(due.dtype))
    return count.long(), due - count


def _ranked(scores: torch.Tensor, eligible: torch.Tensor) -> torch.Tensor:
    """Return the slots of each row from the highest score down, ineligible ones last, ``[batch, slots]``."""
    # Two stable sorts: an eligible slot of score -inf still comes before all that are not eligible.
    by_score = scores.sort(dim=1, descending=True, stable=True).indices
    last = (~eligible).gather(1, by_score).sort(dim=1, stable=True).indices
    return by_score.gather(1, last)


# The rules by the option that names them. A new rule is one entry here, or one made by a caller:
# ``RULES["algorithm"]["mine"] = Rule(...)``.
RULES: dict[str, dict[str, Rule]] = {
    "algorithm": {
        "maskgit_plus": Rule(best_probability, modes=("plain",)),
        "topk_margin": Rule(margin, modes=("plain",)),
        "entropy": Rule(negative_entropy, modes=("plain",)),
    },
    "schedule": {
        # Padding, the surest symbol of all, would use up the first steps and leave the answer to the last.
        "uniform": Rule(
            lambda slots, config: uniform_budget(slots.eligible.sum(1), slots.step, config.steps),
            padding_waits=True,
            finishes=True,
        ),
        "dream": Rule(lambda slots, config: dream_budget(slots.eligible.sum(1), slots.step, config.steps)),
    },
    "adaptive": {
        "threshold": Rule(
            lambda slots, config: threshold_budget(slots.chosen, slots.eligible, config.confidence_threshold),
            uses=("confidence_threshold",),
            by_probability=True,
        ),
        "entropy": Rule(
            lambda slots, config: entropy_budget(
                slots.scores, slots.cost, slots.eligible, config.entropy_bound
            ),
            uses=("entropy_bound",),
            cost=surprise_or_entropy,
        ),
    },
}


@dataclass(frozen=True)
class Rules:
    """The rules of one decoding."""

    algorithm: Rule | None
    schedule: Rule
    adaptive: Rule | None

    @classmethod
    def of(cls, config: Any) -> "Rules":
        """Return the rules that a DecodingConfig names."""
        algorithm = None if config.algorithm is None else RULES["algorithm"][config.algorithm]
        adaptive = None if config.adaptive is None else RULES["adaptive"][config.adaptive]
        return cls(algorithm, RULES["schedule"][config.schedule], adaptive)
