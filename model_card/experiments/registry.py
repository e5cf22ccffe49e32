"""All experiments, in the order in which they are run and shown."""

from model_card.experiments import (
    ablations,
    denoising,
    errors,
    hallucination,
    main,
    pareto,
    self_correction,
    size,
    uncertainty,
)
from model_card.experiments.driver import Experiment

EXPERIMENTS: tuple[Experiment, ...] = (
    main.EXPERIMENT,
    pareto.EXPERIMENT,
    self_correction.EXPERIMENT,
    uncertainty.EXPERIMENT,
    ablations.EXPERIMENT,
    errors.EXPERIMENT,
    hallucination.EXPERIMENT,
    denoising.EXPERIMENT,
    size.EXPERIMENT,
)
