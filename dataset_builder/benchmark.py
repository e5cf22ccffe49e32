"""Command line: time and memory of a build at the full set's size, ``python -m dataset_builder.benchmark``.

The source is repeated under new ids and built in a process of its own on a fixed number of cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from dataset_builder.hub import download_source
from dataset_builder.settings import DEFAULT_TOKENIZER
from dataset_builder.source import SourceError, SourceFile

TARGET_SECONDS = 60.0
TARGET_BYTES = 2e9
_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Measured:
    """What a build took: wall-clock and processor seconds, and the most memory at once.

    ``peak_bytes`` is the sum of the resident sets of all its processes, which counts what they share more
    than once: an upper bound.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def within_targets(self) -> bool:
        """Return whether time and memory are within the targets."""
        return self.seconds < TARGET_SECONDS and self.peak_bytes < TARGET_BYTES


def repeat_source(source: SourceFile, copies: int, path: Path) -> int:
    """Write the records ``copies`` times, each under an id of its own, as JSON Lines; return how many."""
    records = list(source.records())
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for copy in range(copies):
            for number, record in enumerate(records):
                out.write(json.dumps({**record, "id": f"{number}-{copy}"}) + "\n")
    return copies * len(records)


def measure(command: Sequence[str], cores: int) -> Measured:
    """Run a command on ``cores`` cores and measure it.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    started = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with psutil.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        if hasattr(process, "cpu_affinity"):
            process.cpu_affinity(sorted(process.cpu_affinity())[:cores])
        peak, spent = 0, {}
        while process.poll() is None:
            resident = 0
            for member in _tree(process):
                try:
                    resident += member.memory_info().rss
                    times = member.cpu_times()
                    spent[member.pid] = times.user + times.system
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue  # it ended between two looks
            peak = max(peak, resident)
            time.sleep(_SAMPLE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Measured(time.perf_counter() - started, sum(spent.values()), peak)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 1 if the build took more than the targets."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.benchmark", description="Measure a build of many records."
    )
    parser.add_argument(
        "--source", metavar="FILE", help="records to repeat (default: the full set of the Hub)"
    )
    parser.add_argument("--tokenizer", default=DEFAULT_TOKENIZER, metavar="ID_OR_DIR")
    parser.add_argument("--copies", type=int, default=20, help="how often (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        source = SourceFile(options.source or download_source())
        with tempfile.TemporaryDirectory() as folder:
            repeated, output = Path(folder, "repeated.jsonl"), Path(folder, "data_set")
            records = repeat_source(source, options.copies, repeated)
            size = repeated.stat().st_size
            command = [sys.executable, "-m", "dataset_builder.build", "--source", str(repeated)]
            command += ["--tokenizer", options.tokenizer, "--output", str(output)]
            command += ["--num-proc", str(options.cores)]
            measured = measure(command, options.cores)
            rows = json.loads((output / "report.json").read_text(encoding="utf-8"))["rows"]
    except (SourceError, subprocess.CalledProcessError) as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    table = Table(title=f"A build of all configurations on {options.cores} cores", title_justify="left")
    for heading in ("figure", "measured", "target"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    table.add_row("records", f"{records:,} ({size / 1e6:.0f} MB)", "")
    table.add_row("rows written", f"{sum(rows.values()):,}", "")
    table.add_row("wall-clock time", f"{measured.seconds:.1f} s", f"< {TARGET_SECONDS:.0f} s")
    table.add_row("processor time", f"{measured.cpu_seconds:.1f} s", "")
    table.add_row("peak memory", f"{measured.peak_bytes / 1e9:.2f} GB", f"< {TARGET_BYTES / 1e9:.0f} GB")
    console.print(table)
    return 0 if measured.within_targets() else 1


if __name__ == "__main__":
    sys.exit(main())
