"""The run of an annotation on Ray Data: readers that cut parts, workers that answer and write them."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from .annotator import Annotator, Outcome, Workload
from .documents import Columns, Document, Fragment, Piece, pieces
from .settings import Settings
from .storage import ASIDE, Folder, InputFile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what dies is started again: no news to a user

try:
    import ray
    import ray.data
except ImportError as error:
    raise ImportError(
        "annotation runs on Ray Data, which is not installed: pip install 'ray[data]>=2.60,<3' "
        "(or pip install -r requirements-ray.txt)"
    ) from error

READERS = 2  # they are much faster than a model
_BLOCKS = 1024  # of fragments
_PAUSES = (1, 5, 20)  # seconds, before a source that failed is asked again
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cluster:
    """Where a run takes place.

    Args:
        address: of a running Ray cluster; None starts one on this machine.
        workers: models that run at once; None is one a GPU, or one for each ``cores`` CPU cores.
        cores: CPU cores of a worker, and its torch threads on a CPU.
        device: ``"cpu"`` or ``"cuda"``; None is ``"cuda"`` if the cluster has GPUs.
    """

    address: str | None = None
    workers: int | None = None
    cores: int = 1
    device: str | None = None


@dataclass(frozen=True)
class Pool:
    """The workers of a run."""

    workers: int
    cores: int
    device: str


@contextmanager
def connected(cluster: Cluster) -> Iterator[Pool]:
    """Start Ray, join it, or use the one that this process has; give which workers run there, and leave it.

    Raises:
        ConnectionError: there is no cluster at the address.
        ValueError: it has no GPU, or too few cores for one worker.
    """
    joined = not ray.is_initialized()
    if joined:
        _join(cluster)
    try:
        yield _pool(cluster)
    finally:
        if joined:
            ray.shutdown()


def _join(cluster: Cluster) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with _silent():
        if cluster.address is None:
            cores = max(os.cpu_count() or 1, (cluster.workers or 1) * cluster.cores)
            ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)
            return
        try:
            ray.init(cluster.address, runtime_env={"py_modules": [str(_PACKAGE)]}, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConnectionError(f"no Ray cluster at {cluster.address!r}: {error}") from None


def _pool(cluster: Cluster) -> Pool:
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    device = cluster.device or ("cuda" if gpus else "cpu")
    if device == "cuda" and not gpus:
        raise ValueError("--device cuda, but Ray sees no GPU; use --device cpu")
    workers = cluster.workers or (gpus if device == "cuda" else cpus // cluster.cores)
    if not workers:
        raise ValueError(f"--cores {cluster.cores} for a worker, but Ray has {cpus}")
    return Pool(workers, cluster.cores, device)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep off the standard error what Ray's own processes tell there of their start."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def annotate(
    fragments: Sequence[tuple[Fragment, set[int]]],
    settings: Settings,
    workload: Workload,
    output: Folder,
    pool: Pool,
) -> Generator[Outcome, None, None]:
    """Run the annotation and yield what became of each part, in no fixed order.

    Args:
        fragments: those that are not complete, with the numbers of their parts that are there.
        workload: of a worker; its device and threads are the pool's.

    Raises:
        ValueError: a worker cannot load its model, the input cannot be read, or the output written.
        OSError: Ray itself stopped.
    """
    if not fragments:
        return
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # A part is a block: parts are handed out and retried one at a time, whatever the size of their texts.
    context.target_max_block_size = context.target_min_block_size = 1
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # Ray counts the inputs that it knows before it starts; one reader gives many parts.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"ray\.data\.")
    on_gpu = pool.device == "cuda"
    own = Workload(pool.device, None if on_gpu else pool.cores, workload.batch_tokens, workload.retries)
    rows = [{"fragment": json.dumps([asdict(one), sorted(there)])} for one, there in fragments]
    blocks = min(len(rows), _BLOCKS)
    dataset = (
        ray.data.from_items(rows, override_num_blocks=blocks)
        .map_batches(
            partial(_read, columns=settings.columns, documents_per_part=settings.documents_per_part),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.TaskPoolStrategy(size=min(READERS, blocks)),
            num_cpus=0,  # or workers that hold all cores would wait for ever
        )
        .map_batches(
            _Worker,
            fn_constructor_args=(settings, own, output),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool.workers),
            num_cpus=pool.cores,
            num_gpus=1 if on_gpu else 0,
        )
    )
    try:
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            assert isinstance(batch, pa.Table)
            for row in batch.to_pylist():
                if problem := row.pop("problem"):
                    raise ValueError(problem)
                yield Outcome(**row)
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray stopped: {error}") from error
    output.delete_folder(ASIDE)


def _read(batch: pa.Table, columns: Columns, documents_per_part: int) -> Iterator[pa.Table]:
    """Yield the parts of fragments that are not there; what cannot be read, as its error."""
    for content in batch.column("fragment").to_pylist():
        told, there = json.loads(content)
        fragment = Fragment(**{**told, "file": InputFile(**told["file"])})
        try:
            for piece in _missing(fragment, set(there), columns, documents_per_part):
                yield _packed(asdict(piece))
        except (OSError, ValueError) as error:
            yield _packed(f"{fragment.file.name} cannot be read: {error}")


def _packed(content: dict[str, Any] | str) -> pa.Table:
    """Return a block of one part, or of why there is none."""
    return pa.table({"piece": pa.array([json.dumps(content)], pa.large_string())})


def _missing(
    fragment: Fragment, there: set[int], columns: Columns, documents_per_part: int
) -> Iterator[Piece]:
    """Yield the parts that are not there; a source that fails is asked again for the rest."""
    for pause in (*_PAUSES, None):
        try:
            for piece in pieces(fragment, columns, documents_per_part):
                if piece.number not in there:
                    yield piece
                    there = there | {piece.number}
            return
        except OSError:
            if pause is None:
                raise
            time.sleep(pause)


class _Worker:
    """An actor of Ray Data around an annotator.

    Problems that another try would not solve are reported, not raised: Ray would wrap them in its own.
    """

    def __init__(self, settings: Settings, workload: Workload, output: Folder) -> None:
        self._annotator: Annotator | None = None
        self._problem = ""
        try:
            self._annotator = Annotator(settings, workload, output)
        except Exception as error:
            self._problem = f"{error}"

    def __call__(self, batch: pa.Table) -> pa.Table:
        (packed,) = batch.column("piece").to_pylist()
        content = json.loads(packed)
        problem = content if isinstance(content, str) else self._problem
        outcome = Outcome()
        if self._annotator is not None and not problem:
            try:
                documents = [Document(**told) for told in content["documents"]]
                outcome = self._annotator.annotate(Piece(**{**content, "documents": documents}))
            except OSError as error:
                problem = f"the output cannot be written: {error}"
        return pa.table({key: [value] for key, value in {**asdict(outcome), "problem": problem}.items()})
