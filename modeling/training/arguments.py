"""The settings of a training run, in two documented dataclasses that flags and YAML both read."""

from dataclasses import dataclass, field
from importlib.util import find_spec

from transformers import TrainingArguments

from .loss import DiffusionLoss
from .masking import MASKS, MIN_RATE

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
    low_discrepancy: bool = field(
        default=True,
        metadata={"help": "Space the times of the global batch evenly instead of drawing each by itself."},
    )
    masks: str = field(
        default="single",
        metadata={
            "help": "Masks of one example in a step: single; or complementary, a mask and its complement, "
            "each with its own weight, which costs two canvas forwards.",
            "choices": list(MASKS),
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
        return DiffusionLoss(
            pad_weight=self.pad_weight,
            max_weight=self.max_weight,
            aligned_full_mask_rate=self.aligned_full_mask_rate,
            aligned_weight=self.aligned_weight,
            low_discrepancy=self.low_discrepancy,
            masks=self.masks,
            entropy_weight=self.entropy_weight,
        )


@dataclass
class RunArguments:
    """What to train on."""

    data: str = field(
        default="diffusion-ner/pile-ner-diffusion",
        metadata={
            "help": "Hub data set id or folder of prompt/completion rows (python -m dataset_builder.build), "
            "or a folder of entity rows (python -m dataset_builder.mix), or a JSON Lines file of labelled "
            "texts (modeling.training.run.labelled)."
        },
    )
    init: str | None = field(
        default=None,
        metadata={
            "help": "Trained pointer checkpoint to go on from: mini (the embedded one), folder or Hub id. "
            "Without --config the settings are those of modeling/configs/finetune_mini.yaml."
        },
    )
    data_config: str | None = field(default=None, metadata={"help": "Name of the data set's configuration."})
    sources: list[str] | None = field(
        default=None,
        metadata={"help": "Train on these sources of a folder of entity rows alone; default: all of them."},
    )
    source_factors: list[str] | None = field(
        default=None,
        metadata={"help": "NAME=FACTOR each: draw the rows of this source so many times as often."},
    )
    new_pointer_from: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of a BERT encoder to make a new pointer network from."},
    )
    canvas_word_embeddings: bool = field(
        default=True, metadata={"help": "Whether aligned slots of a new pointer network receive their word."}
    )
    prompt_attention: str | None = field(
        default=None,
        metadata={
            "help": "Of a new pointer network: isolated (the prompt does not see the canvas) or full; "
            "default: isolated."
        },
    )
    type_attention: str | None = field(
        default=None,
        metadata={
            "help": "Of a new pointer network: text (each type reads itself and the text), own (itself "
            "alone), under both of which the order of types changes nothing, or joint (types in one list); "
            "default: text.",
            "choices": ["text", "own", "joint"],
        },
    )
    few_negatives: int = field(
        default=8, metadata={"help": "The most absent types asked for beside the present ones (entity rows)."}
    )
    full_list_rate: float = field(
        default=0.33,
        metadata={"help": "How often all types of a source are asked for at once (entity rows)."},
    )
    drop_rate: float = field(
        default=0.1, metadata={"help": "How often a present type is not asked for (entity rows)."}
    )
    lower_rate: float = field(
        default=0.2, metadata={"help": "How often a text is lower-cased (entity rows)."}
    )
    both_rate: float = field(
        default=0.1,
        metadata={"help": "How often a present type is asked for beside its coarse one (entity rows)."},
    )
    general_rate: float = field(
        default=0.25,
        metadata={"help": "How often mentions with levels are asked for by their most general names."},
    )
    finest_rate: float = field(
        default=0.3,
        metadata={"help": "How often mentions with levels are asked for by their finest names; else any."},
    )
    other_level_rate: float = field(
        default=0.3, metadata={"help": "How often a mention is asked for by another of its levels too."}
    )
    alone_rate: float = field(
        default=0.1, metadata={"help": "How often one type alone is asked for (rows with levels)."}
    )
    plural_rate: float = field(
        default=0.05, metadata={"help": "How often a type is written in the plural (rows with levels)."}
    )
    max_length: int = field(
        default=512, metadata={"help": "The most tokens of prompt (and completion canvas)."}
    )
    canvas_length: int = field(
        default=128,
        metadata={
            "help": "The most tokens of the completion canvas; 0 trains the aligned one alone (entity rows)."
        },
    )
    lora_rank: int | None = field(
        default=None,
        metadata={
            "help": "Rank of the adapter: the same as use_peft with lora_r; 0 trains all weights without one."
        },
    )
    base_hub_id: str | None = field(
        default=None,
        metadata={"help": "Hub id of the base, to be named in the adapter when the base is a local folder."},
    )
    resume: bool = field(
        default=False,
        metadata={"help": "Go on from the last whole checkpoint in output_dir; without one, begin."},
    )
    average_runs: int = field(
        default=1,
        metadata={
            "help": "Train that many times from init, with seeds that follow on each other (folders run-0, "
            "run-1, ... in output_dir), and save the mean of their weights."
        },
    )

    def __post_init__(self) -> None:
        if self.lora_rank is not None and self.lora_rank < 0:
            raise ValueError(f"lora_rank must not be negative, got {self.lora_rank}; 0 trains all weights")
        if self.init is not None and self.new_pointer_from is not None:
            raise ValueError(
                "init goes on from a trained network, new_pointer_from makes a new one; give one"
            )
        if self.type_attention is not None and self.new_pointer_from is None:
            raise ValueError(
                f"type_attention={self.type_attention!r} is of a network that new_pointer_from makes; "
                "a trained one has its own: leave it out"
            )
        if self.average_runs < 1:
            raise ValueError(f"average_runs must be at least 1, got {self.average_runs}")
        if self.average_runs > 1 and self.init is None:
            raise ValueError(
                "average_runs needs init: only runs that begin at the same trained weights have a mean"
            )
