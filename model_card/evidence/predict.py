"""Compute and keep every prediction that the experiments need; scoring them needs neither model nor GPU.

    python -m model_card predict --model mini --data DIR --device cuda --batch-size 128
    python -m model_card predict --model mini --data DIR --device cuda --shard 3/8    # one of eight processes

A unit, one setting on one data set, that is kept already is not computed again, so a run that was killed goes
on where it was. Without ``--shard`` the settings of the Pareto figure are also timed, alone on the machine;
``--timing`` does only that.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from tqdm import tqdm

from model_card.evidence.setting import Setting
from model_card.experiments.pareto import timing
from model_card.experiments.protocol import Context, Unit, context_of
from model_card.experiments.protocol import flags as shared_flags
from model_card.experiments.registry import EXPERIMENTS, standard
from model_card.flags import UsageError

NOT_FINISHED = 3


def units_of(context: Context, names: Sequence[str] | None = None) -> list[Unit]:
    """Return every unit of the named experiments (default: the standard ones) once, in their order."""
    experiments = standard() if names is None else [EXPERIMENTS[name] for name in names]
    return list(dict.fromkeys(unit for e in experiments for unit in e.units(context)))


def timed(context: Context) -> list[Setting]:
    """Return every setting whose speed an experiment needs, once."""
    return list(dict.fromkeys(setting for e in standard() for setting in e.timed(context)))


def share(units: Sequence[Unit], shard: str | None) -> list[Unit]:
    """Return the units of one process: every N-th from the I-th on for ``"I/N"``.

    Raises:
        UsageError: the shard is not of that form, or I is not in 1..N.
    """
    if shard is None:
        return list(units)
    number, _, count = shard.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise UsageError(f"--shard must be I/N with I from 1 to N, such as 1/8, got {shard!r}")
    return list(units[int(number) - 1 :: int(count)])


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    shared_flags(parser)
    names = [experiment.name for experiment in standard()]
    parser.add_argument("--only", nargs="+", choices=names, help="experiments; default: all standard ones")
    parser.add_argument("--shard", help="I/N: only every N-th unit, from the I-th on")
    parser.add_argument("--timing", action="store_true", help="only time the settings of the Pareto figure")
    parser.add_argument("--time-limit", type=float, help="begin nothing new after so many seconds")
    parser.add_argument(
        "--list", action="store_true", help="list the units and which are kept; compute nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Compute what is missing; exit status 3 if the time was over before all was done."""
    start = time.monotonic()
    context = context_of(args)
    units = [] if args.timing else share(units_of(context, args.only), args.shard)
    if args.list:
        for unit in units:
            state = "kept " if _kept(context, unit) else "to do"
            print(f"{state}  {unit.split}  {unit.set}  {unit.setting.name}")
        return 0
    todo = [unit for unit in units if not _kept(context, unit)]
    tasks: list[Callable[[], object]] = [partial(_predict, context, unit) for unit in todo]
    if args.shard is None and (args.only is None or "pareto" in args.only):
        tasks += [partial(timing, context, setting) for setting in timed(context)]
    done = 0
    for task in tqdm(tasks, desc="units", disable=not sys.stderr.isatty()):
        if args.time_limit is not None and time.monotonic() - start > args.time_limit:
            break
        task()
        done += 1
    print(f"{done} of {len(tasks)} tasks done, {len(units)} units, in {context.predictor.folder}")
    return 0 if done == len(tasks) else NOT_FINISHED


def _kept(context: Context, unit: Unit) -> bool:
    return context.predictor.path(unit.setting, context.predictor.benchmark(unit.set, unit.split)).is_file()


def _predict(context: Context, unit: Unit) -> None:
    context.predictor(unit.setting, context.predictor.benchmark(unit.set, unit.split))
