"""A run of ``modeling.cli.annotate`` that is watched and killed, and the same work by an extractor alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from dataset_builder.benchmarks import BENCHMARKS, load_benchmark
from modeling.corpus.annotator import TOGETHER, TOKENS_CPU, TOKENS_GPU
from modeling.corpus.parts import finished_parts
from modeling.corpus.storage import Folder

LABELS = ["person", "organization", "location", "country", "event", "award", "product", "date"]
WORKER = "MapWorker"  # in the name of a process that holds a model
MIB = 2**20


@dataclass(frozen=True)
class Job:
    """One annotation.

    Args:
        source: JSON Lines file.
        output: folder.
        model: folder or Hub id.
        device: ``"cpu"`` or ``"cuda"``.
        workers: of Ray.
        documents_per_part: the most of a part.
        canvas: None is the model's own.
    """

    source: Path
    output: Path
    model: str
    device: str
    workers: int
    documents_per_part: int
    canvas: str | None = None

    @property
    def command(self) -> list[str]:
        """The command that runs it, or goes on with it."""
        own = [sys.executable, "-m", "modeling.cli.annotate", "--input", str(self.source)]
        own += ["--output", str(self.output), "--labels", ",".join(LABELS), "--model", self.model]
        own += ["--device", self.device, "--workers", str(self.workers)]
        own += ["--documents-per-part", str(self.documents_per_part)]
        return own if self.canvas is None else [*own, "--canvas", self.canvas]


def write_corpus(path: Path, sentences: int, data: Path | None) -> dict[str, str]:
    """Write so many test sentences of all benchmarks, again and again, with ids of their own.

    Returns:
        The checksums of the benchmarks.
    """
    benchmarks = [load_benchmark(name, data=data) for name in BENCHMARKS]
    texts = [sentence.text for benchmark in benchmarks for sentence in benchmark.sentences]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(islice(cycle(texts), sentences)):
            line = {"id": f"s{number:09d}", "text": text}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {benchmark.name: benchmark.sha256 for benchmark in benchmarks}


def alone(job: Job, documents: int, threads: int | None) -> dict[str, float]:
    """Time an extractor without Ray on the first documents, in a process of its own.

    It gets the documents part by part and with a worker's token budget; the first part is not timed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_alone, job, documents, threads).result()


def _alone(job: Job, documents: int, threads: int | None) -> dict[str, float]:
    import torch

    from modeling import EntityExtractor

    extractor = EntityExtractor.from_pretrained(
        job.model, device=job.device, canvas=job.canvas, threads=threads
    )
    with job.source.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, documents)]
    size = job.documents_per_part
    parts = [texts[at : at + size] for at in range(0, len(texts), size)]
    tokens = TOKENS_CPU if job.device == "cpu" else TOKENS_GPU
    start, timed, found = 0.0, 0, 0
    for number, part in enumerate(parts):
        answers = extractor.batch_predict_entities(part, LABELS, batch_size=TOGETHER, batch_tokens=tokens)
        if number == 0:
            start = time.perf_counter()
            continue
        timed += len(part)
        found += sum(map(len, answers))
    if not timed:
        raise ValueError(f"{documents} documents are one part of {size}; take more, or smaller parts")
    seconds = time.perf_counter() - start
    return {
        "documents": timed,
        "seconds": seconds,
        "documents_per_s": timed / seconds,
        "entities": found,
        "threads": torch.get_num_threads(),
    }


@dataclass(frozen=True)
class Sample:
    """The state of a run at one moment: seconds since its start, parts there, resident memory in MiB."""

    seconds: float
    parts: int
    driver_mib: float
    workers: int
    largest_worker_mib: float
    all_mib: float


@dataclass
class Watched:
    """One start of a run.

    Attributes:
        status: exit status, negative if killed.
        seconds: from start to end.
        message: the last line it wrote.
        samples: over time.
        events: what was done to it, with the second.
    """

    status: int
    seconds: float
    message: str
    samples: list[Sample]
    events: list[dict[str, Any]]


def watch(
    job: Job, kill_worker_at: int | None = None, kill_driver_at: int | None = None, interval: float = 1.0
) -> Watched:
    """Run a job, or go on with it, and record its memory.

    Args:
        kill_worker_at: parts at which one worker is killed (SIGKILL).
        kill_driver_at: parts at which the driver is.
        interval: seconds between samples.
    """
    output, start = Folder(str(job.output)), time.perf_counter()
    samples: list[Sample] = []
    events: list[dict[str, Any]] = []
    log = job.output.with_name(f"{job.output.name}.log")
    with log.open("w") as errors, subprocess.Popen(job.command, stderr=errors) as process:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            sample, workers = _sample(driver, output, time.perf_counter() - start)
            samples.append(sample)
            if kill_worker_at is not None and workers and sample.parts >= kill_worker_at:
                workers[0].send_signal(signal.SIGKILL)
                events.append({"killed": "worker", "second": sample.seconds, "parts": sample.parts})
                kill_worker_at = None
            if kill_driver_at is not None and sample.parts >= kill_driver_at:
                driver.send_signal(signal.SIGKILL)
                process.wait()
                events.append({"killed": "driver", "second": sample.seconds, "parts": sample.parts})
                psutil.wait_procs(workers, timeout=60)  # Ray ends them without their driver
                break
            time.sleep(interval)
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    message = lines[-1] if lines else ""
    return Watched(process.returncode, time.perf_counter() - start, message, samples, events)


def _sample(driver: psutil.Process, output: Folder, seconds: float) -> tuple[Sample, list[psutil.Process]]:
    rss: dict[psutil.Process, float] = {}
    own, workers = 0.0, []
    try:
        own = driver.memory_info().rss / MIB
        for child in driver.children(recursive=True):
            try:
                rss[child] = child.memory_info().rss / MIB
                if WORKER in child.name():
                    workers.append(child)
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        pass  # it ends just now
    parts = finished_parts(output).count
    largest = max((rss[worker] for worker in workers), default=0.0)
    return Sample(seconds, parts, own, len(workers), largest, own + sum(rss.values())), workers


def rate(samples: Sequence[Sample], documents_per_part: int) -> float | None:
    """Return documents a second from the first sample with a part to the last growth; None if too short."""
    first = next((s for s in samples if s.parts > samples[0].parts), None)
    grown = [b for a, b in pairwise(samples) if b.parts > a.parts]
    if first is None or grown[-1].parts == first.parts:
        return None
    return (grown[-1].parts - first.parts) * documents_per_part / (grown[-1].seconds - first.seconds)


def steady_rate(output: Path, documents_per_part: int, workers: int) -> float:
    """Return documents a second from the first part of each worker to the last, by the files' times."""
    times = sorted(path.stat().st_mtime for path in output.glob("part-*.parquet"))
    if len(times) <= 2 * workers:
        raise ValueError(f"{len(times)} parts are too few to time {workers} workers; take more documents")
    return (len(times) - workers) * documents_per_part / (times[-1] - times[workers - 1])


def growth(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return the most memory, in MiB, while the model works: in the first and in the last half of a run."""
    working = [s for s in samples if s.workers and s.parts > samples[0].parts]
    found = {}
    for name in ("driver_mib", "largest_worker_mib", "all_mib"):
        values = [getattr(sample, name) for sample in working]
        middle = len(values) // 2
        if middle:
            found[name] = {"first_half": max(values[:middle]), "second_half": max(values[middle:])}
    return found


def thinned(samples: Sequence[Sample], most: int = 100) -> list[dict[str, float]]:
    """Return samples evenly spread over a run, at most so many, as plain values."""
    step = -(-len(samples) // most) or 1
    return [asdict(sample) for sample in samples[::step]]


def command(*arguments: str) -> tuple[int, str]:
    """Run ``modeling.cli.annotate`` to its end; return its exit status and all it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "modeling.cli.annotate", *arguments], capture_output=True, text=True
    )
    return result.returncode, (result.stdout + result.stderr).strip()
