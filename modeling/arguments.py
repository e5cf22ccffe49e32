"""The settings of a training run, in one documented dataclass that flags and YAML both read."""

from dataclasses import dataclass, field

from transformers import TrainingArguments

from modeling.loss import DiffusionLoss
from modeling.schedule import MIN_TIME


@dataclass
class DiffusionArguments(TrainingArguments):
    """transformers' TrainingArguments and what masked diffusion adds."""

    pad_weight: float = field(
        default=0.05,
        metadata={"help": "Weight of padding targets in the loss; 1 counts them like the answer's tokens."},
    )
    max_weight: float = field(
        default=1 / MIN_TIME,
        metadata={
            "help": "Upper bound of the time weight 1/t; 1000 is the exact bound, 4 clips at t = 0.25."
        },
    )
    aligned_full_mask_rate: float = field(
        default=0.5,
        metadata={"help": "Share of aligned canvases masked whole, as the first decoding step sees them."},
    )
    aligned_weight: float = field(
        default=1.0, metadata={"help": "Weight of the aligned canvas beside the completion canvas."}
    )
    tokens_per_batch: int = field(
        default=0,
        metadata={"help": "Token budget of a batch on one device; 0 takes per_device_train_batch_size rows."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pad_weight <= 1:
            raise ValueError(f"pad_weight must be in [0, 1], got {self.pad_weight}")
        if self.max_weight < 1:
            raise ValueError(f"max_weight must be at least 1 (the weight at t = 1), got {self.max_weight}")
        if not 0 <= self.aligned_full_mask_rate <= 1:
            raise ValueError(f"aligned_full_mask_rate must be in [0, 1], got {self.aligned_full_mask_rate}")
        if self.aligned_weight < 0:
            raise ValueError(f"aligned_weight must not be negative, got {self.aligned_weight}")
        if self.tokens_per_batch < 0:
            raise ValueError(f"tokens_per_batch must not be negative, got {self.tokens_per_batch}")

    def loss(self) -> DiffusionLoss:
        """Return the objective these settings describe."""
        return DiffusionLoss(
            self.pad_weight, self.max_weight, self.aligned_full_mask_rate, self.aligned_weight
        )
