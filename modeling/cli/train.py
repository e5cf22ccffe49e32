"""Train a masked-diffusion entity recogniser, or go on training one.

    diffusion-ner train --init mini --data my.jsonl --output_dir runs/mine
    diffusion-ner train --config modeling/configs/train_dream_sft.yaml --max_steps 100

Every setting can stand in a YAML file (--config) or be given as a flag; a flag wins. --init without --config
takes its settings from configs/finetune_mini.yaml. The settings are the fields of ``training.run``'s
RunArguments, ``training.arguments``' DiffusionArguments and trl's ModelConfig: they are declared there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .exits import DEBUG, EXIT_STATUS, WRONG_USE, UsageError, debugging, guard, wrong_use
from .parser import PROGRAM, nearest, show_help

FINETUNE = Path(__file__).resolve().parents[1] / "configs" / "finetune_mini.yaml"
USAGE = f"{PROGRAM} train [--config FILE.yaml] [--SETTING VALUE ...]"

# The settings that a newcomer needs; --help-all lists all of them with their defaults.
SETTINGS = {
    "config": "YAML file of settings; flags win over it",
    "init": "trained checkpoint to go on from: mini, a folder or a Hub id",
    "data": "labelled texts (JSON Lines), a folder of rows, or a Hub data set",
    "output_dir": "folder for the trained model and its checkpoints",
    "resume": "true: go on from the last whole checkpoint",
    "new_pointer_from": "make a new small network from this BERT encoder",
    "model_name_or_path": "train another network, such as Dream",
    "lora_rank": "rank of its adapter; 0 trains all weights",
    "learning_rate": "of the optimiser",
    "num_train_epochs": "passes over the data",
    "max_steps": "optimiser steps instead of epochs",
    "per_device_train_batch_size": "rows of a batch on one device",
    "tokens_per_batch": "token budget of a batch instead",
    "seed": "of everything that is drawn",
    "bf16": "true: compute in bfloat16",
    "use_cpu": "true: train on the CPU",
}
HELP = "\n".join(
    [
        f"usage: {USAGE}",
        "",
        "Train a masked-diffusion entity recogniser, or go on training one.",
        "",
        "the usual settings:",
        *(f"  {f'--{name}':31}{what}" for name, what in SETTINGS.items()),
        f"  {'--help-all':31}show all settings with their defaults",
        "",
        "examples:",
        f"  {PROGRAM} train --init mini --data my.jsonl --output_dir runs/mine",
        f"  {PROGRAM} train --config modeling/configs/train_dream_sft.yaml --max_steps 100",
        "",
        f"{EXIT_STATUS}{DEBUG}=1 shows the traceback of an error.",
    ]
)


def with_config(flags: Sequence[str]) -> list[str]:
    """Return the flags with the configuration that they imply."""
    names = {flag.partition("=")[0] for flag in flags}
    return ["--config", str(FINETUNE), *flags] if "--init" in names and "--config" not in names else [*flags]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags and YAML, train, and return the exit status (wrong usage: SystemExit with status 2)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        _refuse("no setting given")
    if "-h" in words or "--help" in words:
        show_help(HELP)
    return guard(lambda: _train(words), debug=debugging(), again=lambda: "--resume true goes on from here")


def _train(words: Sequence[str]) -> int:
    flags = with_config(words)
    _check_config(flags)
    from ..training.run import run

    parser = make_parser()
    if "--help-all" in words:
        show_help(parser.format_help())
    run(*parse(parser, flags))
    return 0


def make_parser() -> Any:
    """Return trl's parser of all settings."""
    from trl import ModelConfig, TrlParser

    from ..training.arguments import DiffusionArguments, RunArguments

    kinds: Any = [RunArguments, DiffusionArguments, ModelConfig]
    parser = TrlParser(kinds, prog=f"{PROGRAM} train", usage=USAGE, allow_abbrev=False)
    parser.error = _refuse  # type: ignore[method-assign]  # its own prints the usage of some 200 settings
    return parser


def parse(parser: Any, flags: Sequence[str]) -> tuple[Any, ...]:
    """Return the settings that flags and YAML describe, checked.

    Raises:
        UsageError: one is unknown or out of its range; the message names it.
        ImportError: one needs a package that is not installed.
    """
    import yaml

    known = [*parser._option_string_actions, "--config"]
    for flag in (word.partition("=")[0] for word in flags if word.startswith("--")):
        if flag not in known:
            raise UsageError(f"unknown setting {flag!r}{nearest(flag, known)}")
    with wrong_use(ValueError, TypeError, yaml.YAMLError):
        return parser.parse_args_and_config(list(flags))


def _check_config(flags: Sequence[str]) -> None:
    """Raise UsageError for a --config without a file."""
    for place, flag in enumerate(flags):
        name, _, value = flag.partition("=")
        if name == "--config":
            path = value or "".join(flags[place + 1 : place + 2])
            if not Path(path).is_file():
                raise UsageError(f"--config {path}: there is no such file")


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}\nusage: {USAGE} (all settings: {PROGRAM} train --help-all)", file=sys.stderr)
    raise SystemExit(WRONG_USE)


if __name__ == "__main__":
    sys.exit(main())
