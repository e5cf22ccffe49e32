"""The ablations that need training: what each changes, and where its scores are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataset_builder.mix.sources import PILE, SOURCES

DIALOGUES = frozenset({"sgd_slots", "snips_slots", "hwu64_slots", "atis_slots", "restaurant8k_slots"})
TECHNICAL = frozenset(
    {"aptner", "bio_BC5CDR-IOB", "bio_BioNLP13CG-IOB", "bio_CRAFT-IOB", "cs_ner", "gner_AnatEM"}
    | {"gner_FabNER", "gner_ncbi", "matscholar", "stackoverflow_ner"}
)
_OTHERS = tuple(source.name for source in (PILE, *SOURCES) if source.name not in DIALOGUES)
_LORA = ("--use_peft", "--lora_target_modules", "query", "key", "value", "dense")


@dataclass(frozen=True)
class TrainingRow:
    """One training run that differs from the reference in one thing.

    Attributes:
        question: what is asked, the same for rows that are compared.
        name: for tables.
        flags: of ``train_sft.py``, beside those of the reference.
        start: "encoder" trains a new network from a BERT encoder, as the reference does; "reference" goes on
            from the trained reference (what LoRA needs).
    """

    question: str
    name: str
    flags: tuple[str, ...] = ()
    start: str = "encoder"

    @property
    def slug(self) -> str:
        """The name as a folder is called."""
        return "-".join("".join(c if c.isalnum() or c == "." else " " for c in self.name.lower()).split())


def _lora(rank: int) -> TrainingRow:
    flags = (*_LORA, "--lora_r", str(rank), "--lora_alpha", str(2 * rank), "--lora_dropout", "0.05")
    return TrainingRow("LoRA rank, going on from the reference", f"LoRA rank {rank}", flags, "reference")


REFERENCE = TrainingRow("reference", "reference")

ROWS = (
    REFERENCE,
    *(
        TrainingRow(
            "absent types asked",
            f"at most {count} absent types",
            ("--few_negatives", str(count), "--full_list_rate", "0"),
        )
        for count in (0, 2, 5)
    ),
    TrainingRow("data", "without dialogues", ("--sources", *_OTHERS)),
    TrainingRow("data", "Pile-NER alone", ("--sources", PILE.name)),
    TrainingRow("types asked", "coarse beside fine a quarter as often", ("--both_rate", "0.1")),
    TrainingRow("prompt attention", "full prompt attention", ("--prompt_attention", "full")),
    TrainingRow("canvases", "completion canvas only", ("--aligned_weight", "0")),
    TrainingRow("objective", "exact weight 1/t", ("--max_weight", "1000")),
    TrainingRow("objective", "padding counts fully", ("--pad_weight", "1")),
    TrainingRow("objective", "no aligned canvas masked whole", ("--aligned_full_mask_rate", "0")),
    TrainingRow("objective", "independent times", ("--low_discrepancy", "False")),
    TrainingRow("objective", "complementary masks", ("--masks", "complementary")),
    TrainingRow("objective", "mirror masks", ("--masks", "mirror")),
    TrainingRow("objective", "importance-sampled times", ("--importance_sampling", "True")),
    TrainingRow("objective", "context-weighted tokens", ("--cart_p", "0.3")),
    TrainingRow("objective", "entropy term", ("--entropy_weight", "0.1")),
    *(_lora(rank) for rank in (32, 64, 128)),
    TrainingRow("LoRA rank, going on from the reference", "full fine-tune", (), "reference"),
)


def folder(runs: Path, row: TrainingRow, limit: int | None) -> Path:
    """Return the folder of one row."""
    return runs / ("ablations" if limit is None else f"ablations-first-{limit}") / row.slug


def scores_path(runs: Path, row: TrainingRow, limit: int | None) -> Path:
    """Return the file of one row's scores."""
    return folder(runs, row, limit) / "scores.json"
