"""The embedded default beside GLiNER-small's backbone: the same texts, types and threads, on the CPU."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from transformers import DebertaV2Config, DebertaV2Model

from model_card.evidence.timing import latency
from model_card.speed.replay import Sentence
from modeling import EntityExtractor

WHAT_CPU = (
    "the embedded default, text in and entities out, beside the backbone alone of GLiNER-small "
    "(DeBERTa-v3-small: 6 layers, 768, relative attention, random weights of its published configuration). "
    "Left out for GLiNER, in its favour: its tokenizer, LSTM, span layers and decoding. Its prompt is a mark "
    "and the pieces of each type, a separator, the pieces of the text, and both ends; pieces are counted by "
    "the embedded default's tokenizer. Both pad to the longest sentence of a batch of like length"
)
BATCHES = (1, 16, 32)
ROUNDS = 3
GLINER = "GLiNER-small, backbone alone"
# config.json of microsoft/deberta-v3-small, the fields that matter, and GLiNER's two further tokens.
DEBERTA_V3_SMALL: dict[str, Any] = {
    "vocab_size": 128102,
    "hidden_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
Runner = Callable[[Sequence[Sentence]], Any]


def compare(
    model: str,
    sentences: dict[str, list[Sentence]],
    threads: int | None,
    save: Callable[[dict[str, Any]], None],
    batches: Sequence[int] = BATCHES,
    gliner: dict[str, Any] = DEBERTA_V3_SMALL,
) -> dict[str, Any]:
    """Measure all contenders in turn, data set by data set; print and save after each batch size.

    Args:
        model: folder or Hub id of ours.
        sentences: by data set.
        threads: of torch, for both; None leaves them.
        save: called with all results so far.
        batches: batch sizes; at 1 latency is measured.
        gliner: the configuration of GLiNER's backbone.
    """
    contenders = make_contenders(model, threads, gliner)
    results: dict[str, Any] = {"threads": torch.get_num_threads(), "results": {}}
    for size in batches:
        table: dict[str, dict[str, Any]] = {name: {} for name in contenders}
        for dataset, rows in sentences.items():
            ordered = sorted(rows, key=lambda s: s.prompt_tokens)
            for name, run in contenders.items():  # in turn, so that a slower hour hits all
                table[name][dataset] = measure(run, ordered, size)
        for name, entries in table.items():
            seconds = sum(e["seconds"] for e in entries.values())
            rate = sum(map(len, sentences.values())) / seconds
            entry = {"sentences_per_s": round(rate, 1), "sets": entries}
            results["results"].setdefault(name, {})[f"batch {size}"] = entry
            print(f"batch {size:3}  {name:34} {rate:8.1f} sentences/s", flush=True)
        base = results["results"][GLINER][f"batch {size}"]["sentences_per_s"]
        results.setdefault("times_gliner", {})[f"batch {size}"] = {
            name: round(entries[f"batch {size}"]["sentences_per_s"] / base, 2)
            for name, entries in results["results"].items()
        }
        print(f"           times GLiNER: {results['times_gliner'][f'batch {size}']}", flush=True)
        save(results)
    return results


def make_contenders(model: str, threads: int | None, gliner: dict[str, Any]) -> dict[str, Runner]:
    """Return what is timed, by name: the extractor in several settings, and GLiNER-small's backbone."""
    extractor = EntityExtractor.from_pretrained(model, device="cpu", threads=threads)
    small = EntityExtractor.from_pretrained(model, device="cpu", quantize="int8")
    runners: dict[str, Runner] = {
        "embedded default": extracting(extractor),
        "embedded default, adaptive": extracting(extractor, adaptive=True),
        "embedded default, int8": extracting(small),
    }
    torch.manual_seed(0)
    backbone = DebertaV2Model(DebertaV2Config(**gliner)).eval()
    runners[GLINER] = encoding(backbone, extractor)
    return runners


def extracting(extractor: EntityExtractor, **options: Any) -> Runner:
    """Return the extractor's public call over one batch."""

    def run(rows: Sequence[Sentence]) -> list[list[dict]]:
        texts, labels = [row.text for row in rows], [list(row.types) for row in rows]
        return extractor.batch_predict_entities(texts, labels, batch_size=len(rows), **options)

    return run


def encoding(backbone: Any, extractor: EntityExtractor) -> Runner:
    """Return the backbone's forward over token counts such as GLiNER's; the counting is not timed."""
    lengths: dict[Sentence, int] = {}
    generator = torch.Generator().manual_seed(0)

    def length(row: Sentence) -> int:
        if row not in lengths:
            *types, text = (len(ids) for ids in extractor.encoder.token_ids([*row.types, row.text]))
            lengths[row] = 1 + sum(1 + count for count in types) + 1 + text + 1
        return lengths[row]

    batches: dict[tuple[Sentence, ...], tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.inference_mode()
    def run(rows: Sequence[Sentence]) -> torch.Tensor:
        key = tuple(rows)
        if key not in batches:
            own = torch.tensor([[length(row)] for row in rows])
            width = int(own.max())
            ids = torch.randint(4, backbone.config.vocab_size, (len(rows), width), generator=generator)
            batches[key] = ids, (torch.arange(width) < own).long()
        ids, mask = batches[key]
        return backbone(input_ids=ids, attention_mask=mask).last_hidden_state

    return run


def measure(run: Runner, rows: Sequence[Sentence], size: int) -> dict[str, float]:
    """Return seconds and sentences a second over all rows; for single sentences, also percentiles in ms.

    All batches are run once to warm up and then ``ROUNDS`` times; the median of the rounds counts, and of a
    single sentence its median call.
    """
    parts = [rows[at : at + size] for at in range(0, len(rows), size)]
    rounds = [[_seconds(run, part) for part in parts] for _ in range(1 + ROUNDS)][1:]
    seconds = median(map(sum, rounds))
    figures = {"seconds": round(seconds, 3), "sentences_per_s": round(len(rows) / seconds, 1)}
    if size == 1:
        figures |= latency([median(calls) for calls in zip(*rounds, strict=True)])
    return figures


def _seconds(run: Runner, part: Sequence[Sentence]) -> float:
    start = time.perf_counter()
    run(part)
    return time.perf_counter() - start
