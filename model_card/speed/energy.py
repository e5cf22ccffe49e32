"""Run a command and measure the energy that the GPU takes meanwhile.

    python -m model_card speed energy --name training --output energy.json -- python train_sft.py FLAGS

The power that ``nvidia-smi`` reports is sampled twice a second and integrated over time (trapezoids). Runs
are kept by name in one file; the CPU, the memory and the cooling are not in it.
"""

import argparse
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

from model_card.evidence.files import read_json, write_json
from model_card.flags import UsageError

INTERVAL = 0.5
GRAMS_CO2_PER_WH = 0.473
GRID_SOURCE = "Ember, Global Electricity Review 2025, world mean of 2024"
QUERY = ("nvidia-smi", "--query-gpu=power.draw,name", "--format=csv,noheader,nounits")


def sample() -> tuple[float, str]:
    """Return the power of all GPUs together in watts, and their name.

    Raises:
        OSError, subprocess.CalledProcessError: there is no ``nvidia-smi``, or it sees no GPU.
        ValueError: the GPU does not report its power.
    """
    output = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout
    rows = [line.split(", ", 1) for line in output.strip().splitlines()]
    return sum(float(watts) for watts, _ in rows), rows[0][1]


def energy(samples: Sequence[tuple[float, float]]) -> float:
    """Return the energy in kWh of (seconds, watts) samples, by trapezoids."""
    joules = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(samples))
    return joules / 3.6e6


class Meter(threading.Thread):
    """Samples the power until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self.hardware = ""
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sample until ``stop``."""
        while not self._stopped.is_set():
            self.measure()
            self._stopped.wait(INTERVAL)

    def measure(self) -> None:
        """Take one sample."""
        watts, self.hardware = sample()
        self.samples.append((time.monotonic(), watts))

    def stop(self) -> None:
        """Take the last sample and end."""
        self._stopped.set()
        self.join()
        self.measure()


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--name", required=True, help="of the run, such as training")
    parser.add_argument("--output", type=Path, required=True, help="JSON file; its other runs are kept")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")


def run(args: argparse.Namespace) -> int:
    """Run the command, and return its exit status."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("give a command behind --")
    meter = Meter()
    try:
        meter.measure()  # fails before the command runs, not after
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise ValueError(f"the GPU's power cannot be read ({error}): an NVIDIA GPU is needed") from error
    meter.start()
    code = subprocess.run(command).returncode
    meter.stop()
    seconds = meter.samples[-1][0] - meter.samples[0][0]
    kwh = energy(meter.samples)
    measured: dict[str, Any] = {
        "command": " ".join(command),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "hardware": meter.hardware,
        "seconds": seconds,
        "samples": len(meter.samples),
        "mean_watts": 3.6e6 * kwh / seconds if seconds else 0.0,
        "kwh": kwh,
    }
    kept = read_json(args.output) or {"runs": {}}
    report = {
        "what": "energy of the GPU while a command ran",
        "grams_co2_per_wh": GRAMS_CO2_PER_WH,
        "grid_source": GRID_SOURCE,
        "runs": {**kept["runs"], args.name: measured},
    }
    write_json(args.output, report)
    print(f"{args.name}: {seconds:.0f} s, {kwh:.4f} kWh, wrote {args.output}")
    return code
