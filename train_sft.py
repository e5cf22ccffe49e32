"""Train a masked-diffusion entity recogniser.

    python train_sft.py --config modeling/configs/train_mini.yaml
    python train_sft.py --config modeling/configs/train_dream_sft.yaml --max_steps 100
    python train_sft.py --init mini --data my.jsonl --output_dir runs/mine

Every setting can stand in the YAML file or be given as a flag; a flag wins. --init without --config takes its
settings from modeling/configs/finetune_mini.yaml.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from trl import ModelConfig, TrlParser

from modeling.training.arguments import DiffusionArguments
from modeling.training.labelled import LabelledError
from modeling.training.run import RunArguments, run

FINETUNE = Path(__file__).parent / "modeling" / "configs" / "finetune_mini.yaml"


def with_config(flags: Sequence[str]) -> list[str]:
    """Return the flags with the configuration that they imply."""
    given = {flag.partition("=")[0] for flag in flags}
    return ["--config", str(FINETUNE), *flags] if "--init" in given and "--config" not in given else [*flags]


def main() -> None:
    """Parse flags and YAML, and train."""
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])  # type: ignore[list-item]
    try:
        run(*parser.parse_args_and_config(with_config(sys.argv[1:])))
    except (LabelledError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
