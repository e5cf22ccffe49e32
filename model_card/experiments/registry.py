"""All experiments, in the order in which they are run and shown. A further one is a further entry."""

from model_card.experiments import (
    ablations,
    denoising,
    documents,
    errors,
    far,
    finetune,
    hallucination,
    integrations,
    label_order,
    main,
    pareto,
    recipe,
    seeds,
    seen_types,
    self_correction,
    size,
    uncertainty,
    zero_shot,
)
from model_card.experiments.protocol import Experiment

_MODULES = (
    *(main, pareto, self_correction, uncertainty, ablations, errors, hallucination, denoising, size),
    *(seen_types, zero_shot, seeds, recipe, finetune, far, documents, label_order, integrations),
)

EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT for module in _MODULES}


def standard() -> list[Experiment]:
    """Return the experiments that run together, without flags of their own."""
    return [experiment for experiment in EXPERIMENTS.values() if experiment.standard]
