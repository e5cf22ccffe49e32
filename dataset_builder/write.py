"""Writes the data set: Parquet shards of every configuration, the report and the card, all or nothing."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from json import dumps
from pathlib import Path

import datasets

from dataset_builder.builder import PileNer
from dataset_builder.card import render_card
from dataset_builder.report import Report
from dataset_builder.settings import CONFIGS, SPLITS, BuildSettings
from dataset_builder.source import SourceFile
from dataset_builder.stage import ISSUES_FILE, stage
from dataset_builder.tokens import TokenCounter
from dataset_builder.workers import ordered_map

REPORT_FILE = "report.json"
CARD_FILE = "README.md"


class OutputError(RuntimeError):
    """The output folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class WrittenConfig:
    """One configuration as written: its ``datasets`` info, with splits and sizes."""

    name: str
    info: datasets.DatasetInfo

    def rows(self, split: str) -> int:
        """Return the number of rows of a split; one without rows is not written."""
        splits = self.info.splits or {}
        return splits[split].num_examples if split in splits else 0


def write_dataset(
    source: SourceFile,
    counter: TokenCounter,
    output: Path,
    settings: BuildSettings,
    num_proc: int = 1,
    overwrite: bool = False,
    progress: Callable[[str, float], None] = lambda name, share: None,
) -> Report:
    """Build all configurations into ``output`` and return the report, which lies there too.

    Everything is written to a hidden folder beside ``output`` and renamed at the end: a run that is cut
    off leaves ``output`` as it was. The same source, settings and tokenizer give the same bytes.

    Args:
        source: the records.
        counter: of the tokenizer that the limits are meant for.
        output: folder of the data set; with ``overwrite`` it may hold an earlier one.
        settings: of the build.
        num_proc: processes; the result does not depend on it.
        overwrite: replace an earlier build.
        progress: called with what is being done and how much of it is, from 0 to 1.

    Raises:
        OutputError: ``output`` exists and must not be replaced.
        SourceError: the source cannot be read, or holds not one usable record.
    """
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(output)
    check_output(output, overwrite)
    new = _beside(output, "partial")
    work = new / "work"
    work.mkdir(parents=True)
    try:
        report = stage(source, counter, settings, work, num_proc, progress)
        written = []
        write = partial(_write_config, work=work, output=new)
        for config in ordered_map(write, CONFIGS, num_proc):
            written.append(config)
            progress("writing", len(written) / len(CONFIGS))
        report.figures["rows"] = {
            f"{config.name}_{split}": config.rows(split) for config in written for split in SPLITS
        }
        (work / ISSUES_FILE).rename(new / ISSUES_FILE)
        shutil.rmtree(work)
        (new / REPORT_FILE).write_text(
            dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
        )
        card = render_card(report.as_dict(), {config.name: config.info for config in written})
        (new / CARD_FILE).write_text(card, encoding="utf-8", newline="\n")
        _swap(new, output)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return report


def check_output(output: Path, overwrite: bool) -> None:
    """Raise :class:`OutputError` if a data set must not be written to ``output``."""
    if not output.exists():
        return
    if not output.is_dir():
        raise OutputError(f"output {str(output)!r} is a file; name a folder")
    if not any(output.iterdir()):
        return
    if not (output / REPORT_FILE).is_file():
        raise OutputError(
            f"output {str(output)!r} holds files that no build wrote; name another folder or empty it"
        )
    if not overwrite:
        raise OutputError(f"output {str(output)!r} holds an earlier build; pass --overwrite to replace it")


def _write_config(name: str, work: Path, output: Path) -> WrittenConfig:
    were_hidden = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        builder = PileNer(config_name=name, staged=str(work), cache_dir=str(work / "cache" / name))
        made = work / "made" / name
        builder.download_and_prepare(output_dir=str(made), file_format="parquet")
    finally:
        if not were_hidden:
            datasets.enable_progress_bars()
    folder = output / name
    folder.mkdir()
    splits = builder.info.splits or datasets.SplitDict()
    size = 0
    for split in list(splits):
        if splits[split].num_examples == 0:
            del splits[split]  # datasets refuses to load a split without rows
            continue
        shards = sorted(made.glob(f"*-{split}*.parquet"))
        for number, shard in enumerate(shards):
            shard.rename(folder / f"{split}-{number:05d}-of-{len(shards):05d}.parquet")
        size += sum(path.stat().st_size for path in folder.glob(f"{split}-*.parquet"))
    builder.info.download_size = size
    builder.info.size_in_bytes = size + (builder.info.dataset_size or 0)
    return WrittenConfig(name, builder.info)


def _beside(output: Path, purpose: str) -> Path:
    return output.parent / f".{output.name}.{os.getpid()}.{purpose}"


def _clear_leftovers(output: Path) -> None:
    """Clear away what builds of this output left that were killed, but nothing of one that still runs."""
    for path in output.parent.glob(f".{output.name}.*"):
        owner, _, purpose = path.name.removeprefix(f".{output.name}.").partition(".")
        if purpose not in ("partial", "old") or not owner.isdigit() or _alive(int(owner)):
            continue
        if purpose == "old" and not output.exists():
            path.rename(output)  # killed after it had moved the earlier build aside
        else:
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # a number used again
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _swap(new: Path, output: Path) -> None:
    old = _beside(output, "old")
    if output.exists():
        output.rename(old)
    try:
        new.rename(output)
    except OSError:
        if old.exists():
            old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)
