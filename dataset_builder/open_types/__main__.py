"""Command line: ``python -m dataset_builder.open_types --output DIR``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dataset_builder.hub import UploadError, push_to_hub
from dataset_builder.open_types.dataset import write_dataset
from dataset_builder.open_types.layers import PACKAGE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.open_types",
        description="Write the passages with open types as Parquet, with layers, card and datasheet.",
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder of the data set")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, default=PACKAGE, help="written/ and layers/ (default: those here)"
    )
    parser.add_argument("--push-to-hub", metavar="REPO", help="upload the data set to this Hub id")
    parser.add_argument("--private", action="store_true", help="make a new Hub repository private")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        console.print(f"wrote {write_dataset(options.output, options.data)}")
        if options.push_to_hub:
            shards = ["data/*.parquet", "layers/*.jsonl.gz"]
            address = push_to_hub(options.output, options.push_to_hub, options.private, shards)
            console.print(f"uploaded {address}")
    except (OSError, ValueError, UploadError) as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
