"""What training and measuring the model took: time, energy, and what of it was measured."""

from __future__ import annotations

from pathlib import Path

from model_card.evidence.results import read


def cost(folder: Path) -> str:
    """Energy of every measured run, from ``energy.json``."""
    report = read(folder, "energy")
    if report is None:
        return (
            "Energy: not measured yet (`python -m model_card speed energy --name NAME --output FILE "
            "-- COMMAND` measures any command on an NVIDIA GPU)."
        )
    lines = []
    for name, run in report["runs"].items():
        grams = 1000 * run["kwh"] * report["grams_co2_per_wh"]
        lines.append(
            f"- {name}: {run['seconds']:,.0f} s on {run['hardware']}, mean {run['mean_watts']:.0f} W, "
            f"{run['kwh']:.4f} kWh of the GPU alone, {grams:.1f} g CO2e at the world's mean grid intensity "
            f"({1000 * report['grams_co2_per_wh']:.0f} g/kWh; {report['grid_source']})"
        )
    return "\n".join([*lines, "", "CPU, memory and cooling are not included."])
