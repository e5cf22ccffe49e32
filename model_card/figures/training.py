"""Table of the training measurement at Dream-7B's shape."""

from __future__ import annotations

from typing import Any

from model_card.figures.markdown import table

HEAD = [
    "LoRA step",
    "tokens/s",
    "s a step",
    "utilisation",
    "peak GPU memory, GiB",
    "five epochs of the full set, h",
]


def rates(report: dict[str, Any]) -> str:
    """Return speed, memory and the full run's extrapolated time by variant, and what was counted."""
    variants = report["variants"]
    rows = [
        [
            name.replace("_", " "),
            f"{entry['tokens_per_s']:,.0f}",
            f"{entry['median_step_s']:.2f}",
            f"{entry['utilisation']:.0%}",
            f"{entry['peak_gib']:.1f}",
            f"{entry['full_set']['hours']:.1f}",
        ]
        for name, entry in variants.items()
    ]
    recipe, any_one = report["recipe"], next(iter(variants.values()))
    return "\n".join(
        [
            table(HEAD, rows),
            "",
            f"{report['what']}. Batches of {recipe['batch_size']} rows of up to "
            f"{recipe['max_length']} tokens, {recipe['accumulation']} a step; rank {recipe['lora_rank']}: "
            f"{any_one['trainable_parameters'] / 1e6:.0f}M of {any_one['parameters'] / 1e9:.1f}B parameters "
            f"are trained, an adapter of {any_one['adapter_bytes'] / 1e6:.0f} MB. Utilisation is of "
            f"{report['peak_operations_per_s'] / 1e12:.0f} TFLOP/s. {report['operations_counted']}",
        ]
    )
