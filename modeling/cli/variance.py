"""How noisy a training step is: the gradient variance of each variant of the objective.

    python -m modeling.cli.variance
    python -m modeling.cli.variance --model modeling/mini --data runs/mix --draws 40

Every variant gets the same number of canvas forwards: a pair of masks has half as many rows.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ..backbones.load import load_model
from ..backbones.tokenizer import load_tokenizer
from ..canvas.encoding import PromptEncoder
from ..custom_generate.settings import DiffusionSettings
from ..training.batch import TrainingBatch
from ..training.collator import CompletionCollator, EntityCollator
from ..training.importance_sampling import TimeDensity
from ..training.loss import DiffusionLoss
from ..training.queries import QuerySampler
from ..training.rows import load_rows
from ..training.schedule import CosineSchedule, PolynomialSchedule
from ..training.toy import toy_batch, toy_network

# The exact bound's weight of 1000 is so rare and so heavy that no number of draws shows its variance.
MAX_WEIGHT = 4.0
WARM_UP = 100  # batches from which P-POTS fits its densities
BLOCKS = 10  # of draws, between which the error of a variance is seen


@dataclass(frozen=True)
class Problem:
    """A network and the rows to train it on."""

    model: Any
    settings: DiffusionSettings
    rows: TrainingBatch

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.rows.prompt.ids)

    @property
    def slots(self) -> float:
        """Canvas slots of a row on average: losses are divided by it."""
        return sum(float(target.canvas.mask.sum()) for target in self.rows.targets) / self.count

    def batch(self, rows: torch.Tensor) -> TrainingBatch:
        """Return some rows, by their indices ``[batch]``; a row may come several times."""
        return self.rows.select(rows.to(self.rows.prompt.ids.device))


@dataclass(frozen=True)
class Spread:
    """The gradient of a step, over many draws.

    ``loss`` is in nats a slot, ``variance`` the trace of the gradient's covariance, ``signal`` the squared
    norm of its mean; errors are standard errors.
    """

    loss: float
    loss_error: float
    variance: float
    variance_error: float
    signal: float


@dataclass(frozen=True)
class Figures:
    """One variant: its spread over the masks of given rows, and over masks and rows."""

    name: str
    same_objective: bool
    masks: Spread
    rows_and_masks: Spread


def variants(max_weight: float = MAX_WEIGHT) -> dict[str, tuple[DiffusionLoss, bool]]:
    """Return the variants by name, the plain one first, each with whether it estimates what that does."""
    plain = DiffusionLoss(max_weight=max_weight, low_discrepancy=False)
    even = replace(plain, low_discrepancy=True)

    def p_pots(loss: DiffusionLoss) -> DiffusionLoss:
        return replace(loss, densities={kind: TimeDensity() for kind in ("completion", "aligned")})

    return {
        "plain": (plain, True),
        "low-discrepancy": (even, True),
        "complementary": (replace(plain, masks="complementary"), True),
        "MIRROR": (replace(plain, masks="mirror"), True),
        "P-POTS": (p_pots(plain), True),
        "cosine": (replace(plain, schedule=CosineSchedule()), True),
        "polynomial": (replace(plain, schedule=PolynomialSchedule()), True),
        "low-discrepancy, complementary": (replace(even, masks="complementary"), True),
        "low-discrepancy, MIRROR": (replace(even, masks="mirror"), True),
        "low-discrepancy, P-POTS": (p_pots(even), True),
        "low-discrepancy, complementary, P-POTS": (p_pots(replace(even, masks="complementary")), True),
        "CART": (replace(plain, cart_p=0.3), False),
        "entropy": (replace(plain, entropy_weight=0.5), False),
    }


def measure(
    problem: Problem, loss: DiffusionLoss, draws: int, forwards: int, fixed_rows: bool, seed: int = 0
) -> Spread:
    """Return the spread of the gradient of a step's mean loss.

    Args:
        problem: network and rows.
        loss: the variant; its densities, if it has any, are fitted first.
        draws: steps to draw, at least 4. The variance is the mean of that of blocks of a tenth of them, whole
            blocks only, which also give its error.
        forwards: canvas forwards of each step, an even number.
        fixed_rows: whether every step has the same ``forwards / 2`` rows, so that masks alone differ (single
            masks take each row twice), or rows drawn anew.
        seed: of everything drawn.

    Raises:
        ValueError: too few draws, or an odd number of forwards.
    """
    if draws < 4:
        raise ValueError(f"a variance and its error need at least 4 draws, got {draws}")
    if forwards < 2 or forwards % 2:
        raise ValueError(f"forwards must be an even number of at least 2, got {forwards}")
    single = loss.masks == "single"
    parameters = [p for p in problem.model.parameters() if p.requires_grad]
    moments, losses = _Moments(parameters, draws), []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)

        def step() -> torch.Tensor:
            if fixed_rows:
                rows = torch.arange(forwards // 2).repeat(2 if single else 1) % problem.count
            else:
                count = forwards if single else forwards // 2
                rows = torch.randint(problem.count, (count,), generator=generator)
            output = loss(problem.model, problem.settings, problem.batch(rows))
            return output.loss / (len(rows) * problem.slots)

        for _ in range(WARM_UP if loss.densities else 0):
            step()
            loss.step()
        for _ in range(draws):
            value = step()
            gradients = torch.autograd.grad(value, parameters, allow_unused=True)
            losses.append(float(value.detach()))
            moments.add(gradients)
    every = torch.tensor(losses, dtype=torch.float64)
    error = float(every.std()) / draws**0.5
    return Spread(float(every.mean()), error, *moments.variance(), moments.signal())


class _Moments:
    """Mean and variance of gradients too large to be kept, in blocks that tell the variance's own error."""

    def __init__(self, parameters: list[torch.Tensor], draws: int) -> None:
        self.size = max(2, draws // BLOCKS)
        self.block = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
        self.mean = [torch.zeros_like(total) for total in self.block]
        self.squares, self.count, self.seen = 0.0, 0, 0
        self.variances: list[float] = []

    def add(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Add one draw; parameters that had no part in it have None."""
        self.count, self.seen = self.count + 1, self.seen + 1
        for total, gradient in zip(self.block, gradients, strict=True):
            if gradient is not None:
                total += gradient
                self.squares += float(gradient.float().square().sum())
        if self.count == self.size:
            norm = sum(float(total.square().sum()) for total in self.block) / self.size
            self.variances.append((self.squares - norm) / (self.size - 1))
            for mean, total in zip(self.mean, self.block, strict=True):
                mean += total
                total.zero_()
            self.squares, self.count = 0.0, 0

    def variance(self) -> tuple[float, float]:
        """Return the trace of the covariance and its standard error."""
        found = torch.tensor(self.variances, dtype=torch.float64)
        return float(found.mean()), float(found.std()) / len(found) ** 0.5

    def signal(self) -> float:
        """Return the squared norm of the mean, without the share that the noise has in it."""
        draws = len(self.variances) * self.size
        norm = sum(float((mean / draws).square().sum()) for mean in self.mean)
        return norm - self.variance()[0] / draws


def compare(
    problem: Problem, draws: int, forwards: int, max_weight: float = MAX_WEIGHT, seed: int = 0
) -> list[Figures]:
    """Return the figures of every variant; the first is the plain one."""
    return [
        Figures(
            name,
            same,
            measure(problem, loss, draws, forwards, True, seed),
            measure(problem, loss, draws, forwards, False, seed),
        )
        for name, (loss, same) in variants(max_weight).items()
    ]


def toy_problem() -> Problem:
    """Return the toy of four tokens and five symbols."""
    model = toy_network()
    return Problem(model, DiffusionSettings.of(model), toy_batch())


def checkpoint_problem(source: str, data: str, count: int, seed: int = 0) -> Problem:
    """Return a checkpoint and rows drawn from a training run's data.

    Args:
        source: of the model, see ``modeling.load_model``.
        data: of the rows, see ``training.rows.load_rows``; those for validation if there are such.
        count: how many rows.
        seed: of the choice of rows and of what their collator draws.

    Raises:
        ValueError, OSError: model or data cannot be loaded.
    """
    model, tokenizer, found = load_model(source), load_tokenizer(source), load_rows(data)
    settings = DiffusionSettings.of(model)
    split = found.splits.get("validation", found.splits["train"])
    chosen = random.Random(seed).sample(range(len(split)), min(count, len(split)))
    collator: Any = CompletionCollator(tokenizer, settings)
    if not found.are_completions:
        collator = EntityCollator(PromptEncoder(tokenizer, settings), QuerySampler(found.inventories))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tensors = collator([split[i] for i in chosen])
    if not hasattr(model, "source_logits"):
        tensors.pop("prompt_token_types", None)
    device = model.get_input_embeddings().weight.device
    rows = TrainingBatch.from_tensors({name: value.to(device) for name, value in tensors.items()})
    return Problem(model.eval(), settings, rows)


def table(figures: Sequence[Figures], forwards: int) -> Table:
    """Return the figures as a table, variances relative to the plain one."""
    made = Table(title=f"Gradient variance of a step of {forwards} canvas forwards, plain = 1")
    made.add_column("variant")
    for column in ("loss, nats a slot", "masks alone", "rows and masks", "noise / signal"):
        made.add_column(column, justify="right")
    plain = figures[0]
    for one in figures:
        shares = [
            f"{own.variance / base.variance:.2f} ± {own.variance_error / base.variance:.2f}"
            for own, base in ((one.masks, plain.masks), (one.rows_and_masks, plain.rows_and_masks))
        ]
        loss, ratio = one.rows_and_masks, one.masks.variance / one.masks.signal
        made.add_row(
            one.name + ("" if one.same_objective else " *"),
            f"{loss.loss:.3f} ± {loss.loss_error:.3f}",
            *shares,
            f"{ratio:.2f}",
        )
    made.caption = (
        "Masks alone: every step has the same rows. Noise / signal: variance over the squared norm of the "
        "mean gradient, same rows. ± one standard error. * another objective: compare its noise / signal."
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the figures if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m modeling.cli.variance", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", help="folder or Hub id of a checkpoint; default a toy network")
    parser.add_argument("--data", help="rows for it, as train_sft.py takes them")
    parser.add_argument("--rows", type=int, default=64, help="how many of the rows (default 64)")
    parser.add_argument("--draws", type=int, default=400, help="steps to draw per figure (default 400)")
    parser.add_argument("--forwards", type=int, default=8, help="canvas forwards per step (default 8)")
    parser.add_argument("--max-weight", type=float, default=MAX_WEIGHT, help="see train_sft.py (default 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args(arguments)
    if (args.model is None) != (args.data is None):
        parser.error("--model and --data go together")
    try:
        if args.model is None:
            problem = toy_problem()
        else:
            problem = checkpoint_problem(args.model, args.data, args.rows, args.seed)
        figures = compare(problem, args.draws, args.forwards, args.max_weight, args.seed)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    # As wide as it needs to be where nobody looks: a file or a pipe has no width to fit.
    console = Console()
    Console(width=None if console.is_terminal else 120).print(table(figures, args.forwards))
    if args.output is not None:
        settings = {name: value for name, value in vars(args).items() if name != "output"}
        record = {"settings": settings, "figures": [asdict(one) for one in figures]}
        args.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
