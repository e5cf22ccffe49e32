"""What a build can be asked for, checked when it is asked."""

from dataclasses import dataclass

DEFAULT_TOKENIZER = "Dream-org/Dream-v0-Base-7B"

# How many absent types a row asks for, smallest and largest, by configuration. All variants share windows,
# type order and the ranking of the negatives, so an ablation changes nothing but the negatives.
NEGATIVES: dict[str, tuple[int, int]] = {
    "sft": (2, 5),
    "sft_negatives_0": (0, 0),
    "sft_negatives_2": (2, 2),
    "sft_negatives_5": (5, 5),
}
# Both limits leave room for one token behind the completion: a model must see where an answer ends.
END_TOKENS = 1
MAX_NEGATIVES = max(most for _, most in NEGATIVES.values())
CONFIGS = ("spans", *NEGATIVES)
DEFAULT_CONFIG = "sft"
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class BuildSettings:
    """Settings of one build.

    Attributes:
        seed: decides the split, the negatives and the order of the types.
        max_seq_length: most tokens of prompt and completion together, the end mark behind it included; at
            least 128.
        max_completion_tokens: most tokens of a completion with its end mark, at least 16 and less than
            ``max_seq_length``.
        validation_share: share of the passages in the validation split, in [0, 0.5].

    Raises:
        ValueError: a value is out of its range.
    """

    seed: int = 42
    max_seq_length: int = 512
    max_completion_tokens: int = 128
    validation_share: float = 0.1

    def __post_init__(self) -> None:
        # Below 128 tokens the prompt's fixed words, five negatives and one word of text may not fit.
        if self.max_seq_length < 128:
            raise ValueError(f"max_seq_length is {self.max_seq_length}; use at least 128 tokens")
        if not 16 <= self.max_completion_tokens < self.max_seq_length:
            raise ValueError(
                f"max_completion_tokens is {self.max_completion_tokens}; "
                f"use at least 16 and less than max_seq_length ({self.max_seq_length})"
            )
        if not 0 <= self.validation_share <= 0.5:
            raise ValueError(f"validation_share is {self.validation_share}; use a share from 0 to 0.5")
