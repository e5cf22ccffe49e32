"""How well a confidence in [0, 1] tells right answers from wrong ones, and whether it means what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

BINS = 15
_EDGE = 1e-6  # log-odds of 0 and 1 are infinite
_RANGE = (0.05, 20.0)  # of a temperature

Floats = NDArray[np.float64]


def auroc(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Return the chance that a right answer is surer than a wrong one, ties counting half.

    Raises:
        ValueError: all answers are right, or all wrong: there is nothing to tell apart.
    """
    scores, right = _arrays(confidence, correct)
    if right.all() or not right.any():
        raise ValueError("AUROC needs right and wrong answers, and all are of one kind")
    from sklearn.metrics import roc_auc_score  # only who calibrates needs it

    return float(roc_auc_score(right, scores))


def expected_calibration_error(
    confidence: Sequence[float], correct: Sequence[bool], bins: int = BINS
) -> float:
    """Return the mean gap between confidence and accuracy over equally wide bins, weighted by their size.

    Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599, equation 3. In [0, 1]; 0 for no answers.
    """
    return sum(
        b["share"] * abs(b["confidence"] - b["accuracy"]) for b in reliability(confidence, correct, bins)
    )


def reliability(
    confidence: Sequence[float], correct: Sequence[bool], bins: int = BINS
) -> list[dict[str, float]]:
    """Return mean confidence, accuracy and share of the answers of each bin that has any."""
    scores, right = _arrays(confidence, correct)
    own = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(scores[own == b].mean()),
            "accuracy": float(right[own == b].mean()),
            "share": float((own == b).mean()),
        }
        for b in range(bins)
        if (own == b).any()
    ]


def scaled(confidence: Sequence[float], temperature: float) -> list[float]:
    """Return sigmoid(logit(confidence) / temperature): the order stays, the spread changes."""
    scores = np.clip(np.asarray(confidence, dtype=np.float64), _EDGE, 1 - _EDGE)
    return (1 / (1 + np.exp(-np.log(scores / (1 - scores)) / temperature))).tolist()


def fit_temperature(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Return the temperature under which the right answers are most probable (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in 1 / temperature, so a bounded search finds its minimum.

    Raises:
        ValueError: there are no answers.
    """
    if not len(confidence):
        raise ValueError("a temperature is fitted on answers, and there are none")
    right = np.asarray(correct, dtype=bool)

    def loss(inverse: float) -> float:
        scores = np.asarray(scaled(confidence, 1 / inverse))
        # Without the bound, scores that are all right would make the best temperature 0.
        chances = np.clip(np.where(right, scores, 1 - scores), 1e-12, 1)
        return float(-np.log(chances).mean())

    from scipy.optimize import minimize_scalar  # only who calibrates needs it

    found = minimize_scalar(loss, bounds=(1 / _RANGE[1], 1 / _RANGE[0]), method="bounded")
    return float(1 / found.x)


def risk_coverage(
    confidence: Sequence[float], correct: Sequence[bool], points: int = 50
) -> list[list[float]]:
    """Return [coverage, risk] pairs: the share of wrong answers among the surest ones kept.

    El-Yaniv & Wiener 2010. Coverages are evenly spaced in (0, 1]; ties are kept or dropped together with
    the answers beside them in file order.
    """
    scores, right = _arrays(confidence, correct)
    order = np.argsort(-scores, kind="stable")
    wrong = np.cumsum(~right[order])
    kept = np.unique(np.linspace(1, len(scores), min(points, len(scores))).round().astype(int))
    return [[float(k / len(scores)), float(wrong[k - 1] / k)] for k in kept]


def area_under_risk(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Return the mean risk over all coverages; the share of wrong answers is what chance would have."""
    scores, right = _arrays(confidence, correct)
    order = np.argsort(-scores, kind="stable")
    return float((np.cumsum(~right[order]) / np.arange(1, len(scores) + 1)).mean())


def correlation(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Return Pearson's correlation of confidence and correctness (point-biserial); 0 if one is constant."""
    scores, right = _arrays(confidence, correct)
    if scores.std() == 0 or right.std() == 0:
        return 0.0
    from scipy.stats import pearsonr  # only who calibrates needs it

    return float(pearsonr(scores, right.astype(float)).statistic)


def bootstrap_interval(
    statistic: Callable[[Sequence[float], Sequence[bool]], float],
    confidence: Sequence[float],
    correct: Sequence[bool],
    groups: Sequence[int],
    resamples: int = 200,
    seed: int = 0,
) -> list[float]:
    """Return the 95% percentile interval of a statistic over resampled groups (sentences).

    Answers of one sentence are no independent draws, so sentences are resampled whole.
    """
    scores, right = _arrays(confidence, correct)
    names, own = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(own == g) for g in range(len(names))]
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        rows = np.concatenate([members[g] for g in draw.integers(0, len(names), len(names))])
        if right[rows].all() or not right[rows].any():
            continue
        values.append(statistic(scores[rows].tolist(), right[rows].tolist()))
    return [float(v) for v in np.percentile(values, [2.5, 97.5])] if values else [math.nan, math.nan]


def _arrays(confidence: Sequence[float], correct: Sequence[bool]) -> tuple[Floats, NDArray[np.bool_]]:
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if scores.shape != right.shape:
        raise ValueError(f"{len(scores)} confidences but {len(right)} answers: give one for each")
    return scores, right
