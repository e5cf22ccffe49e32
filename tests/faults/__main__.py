"""Write the table of faults: provoke each and record what a user sees."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before the libraries that read it: "no network" is one of the faults

import torch

from model_card.evidence.provenance import provenance
from model_card.evidence.results import write
from tests.faults.table import FILE, rows


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE", help="JSON to write")
    output = parser.parse_args().output.resolve()
    torch.set_num_threads(1)
    groups = rows()
    write(output.parent, output.stem, {**provenance(torch.device("cpu"), {}), "groups": groups})
    print(f"{sum(map(len, groups.values()))} faults in {output.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
