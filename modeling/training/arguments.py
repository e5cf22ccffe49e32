"""The settings of a training run, in one documented dataclass that flags and YAML both read."""

from dataclasses import dataclass, field
from importlib.util import find_spec

from transformers import TrainingArguments

from .importance_sampling import TimeDensity
from .loss import DiffusionLoss
from .masking import MASKS
from .schedule import MIN_RATE, SCHEDULES, make_schedule

# transformers' own argument; newer releases call it by the first name.
CHECKPOINTING = next(
    name
    for name in ("activation_checkpointing", "gradient_checkpointing")
    if name in TrainingArguments.__dataclass_fields__
)


@dataclass
class DiffusionArguments(TrainingArguments):
    """transformers' TrainingArguments and what masked diffusion adds."""

    pad_weight: float = field(
        default=0.05,
        metadata={"help": "Weight of padding targets in the loss; 1 counts them like the answer's tokens."},
    )
    max_weight: float = field(
        default=1 / MIN_RATE,
        metadata={
            "help": "Upper bound of the weight 1 / mask rate; 1000 is the exact bound, 4 clips at rate 0.25."
        },
    )
    aligned_full_mask_rate: float = field(
        default=0.5,
        metadata={"help": "Share of aligned canvases masked whole, as the first decoding step sees them."},
    )
    aligned_weight: float = field(
        default=1.0, metadata={"help": "Weight of the aligned canvas beside the completion canvas."}
    )
    schedule: str = field(
        default="log_linear",
        metadata={
            "help": "Noise schedule: how often each mask rate is drawn. The bound is the same for all.",
            "choices": list(SCHEDULES),
        },
    )
    schedule_exponent: float = field(
        default=2.0, metadata={"help": "Exponent of the polynomial schedule alpha(t) = 1 - t^exponent."}
    )
    low_discrepancy: bool = field(
        default=True,
        metadata={"help": "Space the times of the global batch evenly instead of drawing each by itself."},
    )
    masks: str = field(
        default="single",
        metadata={
            "help": "Masks of one example in a step: single; complementary, a mask and its complement, each "
            "with its own weight; mirror, two masks of one rate that overlap least. A pair costs two "
            "canvas forwards.",
            "choices": list(MASKS),
        },
    )
    importance_sampling: bool = field(
        default=False,
        metadata={
            "help": "Draw times from a density fitted to the losses seen, with importance weights (P-POTS)."
        },
    )
    cart_p: float = field(
        default=0.0,
        metadata={
            "help": "Weigh masked tokens by their nearness to known ones (CART): p of the geometric "
            "distribution of distances, in (0, 1]; 0 is off. Not the bound any more."
        },
    )
    entropy_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight of the entropy of masked tokens that are predicted rightly already: certain "
            "tokens can be decoded in parallel; 0 is off. Not the bound any more."
        },
    )
    tokens_per_batch: int = field(
        default=0,
        metadata={"help": "Token budget of a batch on one device; 0 takes per_device_train_batch_size rows."},
    )
    checkpoint_layers: bool = field(
        default=False,
        metadata={
            "help": "Compute each layer's activations again in the backward pass: less memory, slower "
            "(transformers' activation checkpointing)."
        },
    )
    compile_layers: bool = field(
        default=False, metadata={"help": "Compile each layer of the network with torch.compile."}
    )
    eval_draws: int = field(
        default=1, metadata={"help": "Times at which each validation row is scored, always the same ones."}
    )
    eval_sample_rows: int = field(
        default=32,
        metadata={
            "help": "Validation rows decoded at each evaluation, for F1 and format compliance; 0: none."
        },
    )
    eval_sample_steps: int = field(
        default=8, metadata={"help": "Denoising steps with which the validation sample is decoded."}
    )
    max_shard_size: str = field(
        default="5GB", metadata={"help": "The most bytes of one weight file of a saved model."}
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay false: the collator reads the raw columns."}
    )
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Must stay false: a loss that is not finite stops the run."}
    )

    def __post_init__(self) -> None:
        if self.checkpoint_layers:
            setattr(self, CHECKPOINTING, True)
        super().__post_init__()
        self.loss()  # checks the objective's settings
        if self.tokens_per_batch < 0:
            raise ValueError(f"tokens_per_batch must not be negative, got {self.tokens_per_batch}")
        for name in ("remove_unused_columns", "logging_nan_inf_filter"):
            if getattr(self, name):
                raise ValueError(f"{name} must be false; leave it out")
        if self.eval_draws < 1:
            raise ValueError(f"eval_draws must be at least 1, got {self.eval_draws}")
        if self.eval_sample_rows < 0:
            raise ValueError(f"eval_sample_rows must not be negative, got {self.eval_sample_rows}")
        if self.eval_sample_steps < 1:
            raise ValueError(f"eval_sample_steps must be at least 1, got {self.eval_sample_steps}")
        if self.torch_compile:
            raise ValueError(
                "torch_compile compiles the whole forward, which depends on data; use compile_layers"
            )
        optimizer = str(self.optim)
        if "8bit" in optimizer and find_spec("bitsandbytes") is None:
            raise ImportError(f"optim={optimizer} needs bitsandbytes: pip install bitsandbytes")

    def loss(self) -> DiffusionLoss:
        """Return the objective these settings describe."""
        densities = {kind: TimeDensity() for kind in ("completion", "aligned")}
        return DiffusionLoss(
            pad_weight=self.pad_weight,
            max_weight=self.max_weight,
            aligned_full_mask_rate=self.aligned_full_mask_rate,
            aligned_weight=self.aligned_weight,
            schedule=make_schedule(self.schedule, self.schedule_exponent),
            low_discrepancy=self.low_discrepancy,
            masks=self.masks,
            cart_p=self.cart_p,
            entropy_weight=self.entropy_weight,
            densities=densities if self.importance_sampling else None,
        )
