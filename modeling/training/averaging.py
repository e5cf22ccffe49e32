"""The mean of several trained networks: runs that begin at the same weights and differ in their seed.

Fine-tuning from one start ends in weights that lie close enough for their mean to be a network too, often one
that does better on data unlike the training's (Wortsman et al. 2022, "Model soups", arXiv 2203.05482).
Networks that begin apart have no such mean.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from ..backbones.load import load_model


def mean_of(folders: Sequence[Path | str]) -> dict[str, torch.Tensor]:
    """Return the mean of the weights of several checkpoints of one network, fp32.

    Args:
        folders: at least one, each with a whole model.

    Raises:
        ValueError: none is given, or their tensors differ in name or shape.
    """
    total: dict[str, torch.Tensor] = {}
    for folder in folders:
        state = load_model(str(folder), dtype=torch.float32).state_dict()
        if not total:
            total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in state.items()}
        if {n: v.shape for n, v in state.items()} != {n: v.shape for n, v in total.items()}:
            raise ValueError(
                f"{str(folder)!r} has other tensors than {str(folders[0])!r}: only runs of one network "
                "can be averaged"
            )
        for name, value in state.items():
            total[name] += value
    if not total:
        raise ValueError("there is nothing to average: give at least one checkpoint")
    return {name: (value / len(folders)).float() for name, value in total.items()}
