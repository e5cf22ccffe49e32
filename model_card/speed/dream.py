"""The measurement at Dream-7B's shape: what is run in which order, and what is written down."""

import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from model_card.evidence.timing import timed
from model_card.speed.check import answers_agree, state_errors
from model_card.speed.cuda import ADAPTIVE, TINY, Bench, batches, dream_network, peak_rate
from model_card.speed.replay import Sentence
from modeling import EntityExtractor
from modeling.custom_generate.engine import Engine, attach_engine, detach_engine

# The most wanted first: a run that is cut short has it.
PLAN = (
    ("bf16", "aligned", ADAPTIVE),
    ("bf16", "aligned", "1"),
    ("bf16", "completion", ADAPTIVE),
    ("float8", "aligned", ADAPTIVE),
    ("float8", "aligned", "1"),
    ("bf16", "aligned", "4"),
    ("bf16", "completion", "1"),
    ("bf16", "completion", "4"),
    ("float8", "completion", ADAPTIVE),
    ("bf16", "aligned", "8"),
    ("bf16", "completion", "8"),
)
BUDGETS = (8192, 12288, 20480)  # tokens of a batch, tried with the first of the plan
CHECK_LAYERS = 4
PEAK_SIZE, TINY_PEAK_SIZE = 8192, 256
_VLLM_RATE = re.compile(r"repeat (\d+) (\w+)(?: \d+ in one batch)?: ([\d.]+) sentences/s")
_VLLM_LATENCY = re.compile(r"latency of one sentence, (\w+): p50 (\d+) ms, p95 (\d+) ms")


@dataclass
class Measurement:
    """One run of everything; whatever fails is printed and noted, and the rest goes on.

    Args:
        sentences: by data set.
        forwards: recorded ones, by canvas and data set.
        tokenizer: Dream's.
        device: to run on.
        tiny: a tiny network instead of Dream-7B's shape: a rehearsal.
        float8: whether the products are measured in float8 too.
        seconds: after so many no further part is begun.
        save: called with the results after each part.
    """

    sentences: dict[str, list[Sentence]]
    forwards: dict[str, dict[str, list[int]]]
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    tiny: bool
    float8: bool
    seconds: float
    save: Callable[[dict[str, Any]], None]
    results: dict[str, Any] = field(default_factory=dict)
    engines: dict[str, Engine] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Measure and return everything."""
        self._start = time.perf_counter()
        counts = {c: [n for own in f.values() for n in own] for c, f in self.forwards.items()}
        self.results["mean_forwards"] = {c: round(sum(n) / len(n), 3) for c, n in counts.items()}
        self._part("engine against plain path", partial(self._check, float8=False))
        if self.float8:
            self._part("float8 against plain path", partial(self._check, float8=True))
        dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        size = TINY_PEAK_SIZE if self.tiny else PEAK_SIZE
        peak = peak_rate(self.device, dtype, size)
        self.results["peak_tflops"] = round(peak / 1e12, 3)
        model = dream_network(self.device, dtype, TINY if self.tiny else {})
        bench = self._bench(model, peak)
        self.results["operations_per_token"] = bench.operations
        self._part("plain path", partial(self._plain, bench))
        for precision, canvas, schedule in PLAN:
            if precision == "float8" and not self.float8:
                continue
            if precision not in self.engines:
                self._part(f"{precision}: engine", partial(self._attach, bench, precision))
            title = f"{canvas}, " + (schedule if schedule == ADAPTIVE else f"T={schedule}")
            part = partial(self._schedule, bench, precision, title, canvas, schedule)
            self._part(f"{precision}, {title}", part)
        self._part("EntityExtractor", partial(self._extractor, bench))
        return self.results

    def _bench(self, model: Any, peak: float) -> Bench:
        extractor = EntityExtractor(model, self.tokenizer)
        return Bench(extractor, self.sentences, self.forwards, peak)

    def _part(self, title: str, part: Callable[[], dict[str, Any]]) -> None:
        """Run one part, merge what it returns, print and save it."""
        passed = time.perf_counter() - self._start
        if passed > self.seconds:
            print(f"[{passed:.0f} s] {title}: left out, no time", flush=True)
            self.results.setdefault("left_out", []).append(title)
            return
        try:
            found = part()
        except Exception:
            traceback.print_exc()
            self.results.setdefault("failed", {})[title] = traceback.format_exc(limit=3)
            found = {}
        _merge(self.results, found)
        print(f"[{passed:.0f} s, +{time.perf_counter() - self._start - passed:.1f} s] {title}", flush=True)
        print(f"    {found}", flush=True)
        self.save(self.results)

    def _check(self, float8: bool) -> dict[str, Any]:
        shape = TINY if self.tiny else {"num_hidden_layers": CHECK_LAYERS}
        bench = self._bench(dream_network(self.device, torch.float32, shape), 1.0)
        found: dict[str, Any] = {"layers": shape["num_hidden_layers"]}
        found["state_errors"] = state_errors(bench, float8)
        if not float8:
            found["answers_fp32"] = answers_agree(bench)
        return {"check": found}

    def _plain(self, bench: Bench) -> dict[str, Any]:
        detach_engine(bench.model)
        works = bench.works("aligned", "1", list(bench.sentences))
        return {"plain": {"aligned, T=1": bench.throughput(works)}}

    def _attach(self, bench: Bench, name: str) -> dict[str, Any]:
        start = time.perf_counter()
        self.engines[name] = attach_engine(bench.model, float8=name == "float8")
        works = bench.works("aligned", "2", list(bench.sentences))
        for part in batches(works, bench.budget)[::2]:  # one thread compiles
            bench.run(part)
        bench.throughput(works)  # and the others' streams take their memory
        warm = time.perf_counter() - start
        _, canvas, schedule = PLAN[0]
        works = bench.works(canvas, schedule, list(bench.sentences))
        rates = {budget: bench.throughput(works, budget)["sentences_per_s"] for budget in BUDGETS}
        bench.budget = max(BUDGETS, key=lambda budget: rates[budget])
        entry = {"seconds": round(warm, 1), "by_batch_tokens": rates, "batch_tokens": bench.budget}
        return {"warm_start": {name: entry}}

    def _schedule(
        self, bench: Bench, precision: str, title: str, canvas: str, schedule: str
    ) -> dict[str, Any]:
        bench.model.engine = self.engines[precision]
        works = bench.works(canvas, schedule, list(bench.sentences))
        every = bench.throughput(works)
        sets = {name: bench.throughput(bench.works(canvas, schedule, [name])) for name in bench.sentences}
        entry: dict[str, Any] = {
            "forwards": round(sum(w.forwards for w in works) / len(works), 3),
            "slots": round(sum(w.slots for w in works) / len(works), 1),
            "all": every,
            "sets": sets,
        }
        if schedule in (ADAPTIVE, "1"):
            entry["latency"] = {
                name: bench.latency(bench.works(canvas, schedule, [name])) for name in bench.sentences
            }
        return {"results": {precision: {title: entry}}}

    def _extractor(self, bench: Bench) -> dict[str, Any]:
        """Time the public call itself: no replay, one forward on the aligned canvas, bf16."""
        bench.model.engine = self.engines["bf16"]
        rows = [s for own in self.sentences.values() for s in own]
        texts, labels = [s.text for s in rows], [list(s.types) for s in rows]
        call = partial(bench.extractor.batch_predict_entities, texts, labels, batch_size=128, steps=1)
        _, seconds = timed(partial(call, adaptive=None))
        return {"extractor": {"aligned, T=1": {"sentences_per_s": round(len(rows) / median(seconds), 1)}}}


def read_vllm(log: Path) -> dict[str, Any]:
    """Return the figures that ``uniner_replay.py`` printed: its last repeat by data set and for all.

    Raises:
        ValueError: the log has no figures.
    """
    text = log.read_text(encoding="utf-8")
    rates = {name: float(rate) for _, name, rate in _VLLM_RATE.findall(text)}  # a later repeat wins
    latency = {
        name: {"p50_ms": float(p50), "p95_ms": float(p95)} for name, p50, p95 in _VLLM_LATENCY.findall(text)
    }
    if "all" not in rates:
        raise ValueError(
            f"{log} has no line 'repeat ... all ... sentences/s'; is it uniner_replay.py's output?"
        )
    every = rates.pop("all")
    return {"all": every, "sets": rates, "latency": latency}


def _merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
