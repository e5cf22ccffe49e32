"""Train a masked-diffusion entity recogniser.

    python train_sft.py --config modeling/configs/train_mini.yaml
    python train_sft.py --config modeling/configs/train_dream_sft.yaml --max_steps 100

Every setting can stand in the YAML file or be given as a flag; a flag wins.
"""

from trl import ModelConfig, TrlParser

from modeling.arguments import DiffusionArguments
from modeling.training import RunArguments, run


def main() -> None:
    """Parse flags and YAML, and train."""
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])  # type: ignore[list-item]
    run(*parser.parse_args_and_config())


if __name__ == "__main__":
    main()
