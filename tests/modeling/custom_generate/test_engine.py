"""The packed engine computes what the plain path computes: every canvas, both attentions, in any batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from modeling import EntityExtractor
from modeling.backbones.runtime import with_engine
from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.engine import Engine, attach_engine, detach_engine
from modeling.custom_generate.network import Canvas, Denoiser, Prompt
from modeling.custom_generate.segments import Packing, padded_attention
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.collator import aligned_tensors, prompt_tensors
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream

TEXTS = ["alice met bob in paris .", "it rained", "the tiger saw the eagle and the horse left madrid ."]
CLOSE: dict[str, Any] = {"atol": 2e-5, "rtol": 1e-4}
# Large batches run eagerly, small ones in padded buckets; a limit sends every batch one way.
WAYS = {"packed": 0, "bucket": 10_000}


@pytest.fixture(params=["isolated", "full"])
def model(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    """A network of Dream's shape without an engine."""
    return tiny_dream(tokenizer, prompt_attention=request.param)


def denoiser(model: Any, tokenizer: Any, kind: str, texts: list[str], **options: Any) -> Denoiser:
    """Return the denoiser of some texts, left-padded or not, with half-masked canvases of unequal length."""
    checkpoint = DiffusionSettings.of(model)
    prompts = PromptEncoder(tokenizer, checkpoint).encode_batch([(TYPES, text) for text in texts])
    t = prompt_tensors(prompts, checkpoint.pad_token_id, left=options.pop("left", True))
    prompt = Prompt(t["prompt_ids"], t["prompt_mask"], t["prompt_positions"])
    if kind == "aligned":
        a = aligned_tensors(prompts)
        canvas = Canvas(kind, a["aligned_positions"], a["aligned_mask"], a["aligned_word_ids"])
    else:
        lengths = torch.tensor([[3 + len(p.words) % 4] for p in prompts])
        positions = torch.tensor([[len(p)] for p in prompts]) + torch.arange(7)
        canvas = Canvas(kind, positions, torch.arange(7) < lengths)
    return Denoiser(model, checkpoint, prompt, canvas, **options)


def symbols(subject: Denoiser, shift: int) -> torch.Tensor:
    """Return a canvas of masks and other symbols, another one for each shift."""
    checkpoint = subject.settings
    numbers = torch.arange(subject.canvas.mask.shape[1]) + shift
    ids = torch.where(numbers % 3 == 0, checkpoint.inside_token_id, checkpoint.mask_token_id)
    return ids.expand(subject.canvas.mask.shape).clone()


def agree(subject: Denoiser, oracle: Denoiser, ids: torch.Tensor) -> None:
    mask = oracle.canvas.mask
    torch.testing.assert_close(subject.hidden(ids)[mask], oracle.hidden(ids)[mask], **CLOSE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["aligned", "completion"])
@pytest.mark.parametrize("left", [True, False])
def test_every_step_equals_the_plain_path(
    model: Any, tokenizer: Any, kind: str, way: str, left: bool
) -> None:
    oracle = denoiser(model, tokenizer, kind, TEXTS, left=left)
    attach_engine(model, graph_tokens=WAYS[way])
    subject = denoiser(model, tokenizer, kind, TEXTS, left=left)
    assert subject.packed is not None
    assert oracle.packed is None
    for shift in range(3):
        agree(subject, oracle, symbols(oracle, shift))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["aligned", "completion"])
def test_a_selection_goes_on_where_the_batch_was(model: Any, tokenizer: Any, kind: str, way: str) -> None:
    oracle = denoiser(model, tokenizer, kind, TEXTS)
    attach_engine(model, graph_tokens=WAYS[way])
    subject = denoiser(model, tokenizer, kind, TEXTS)
    agree(subject, oracle, symbols(oracle, 0))
    rows = torch.tensor([2, 1, 2])
    subject, oracle = subject.select(rows), oracle.select(rows)
    agree(subject, oracle, symbols(oracle, 1))
    rows = torch.tensor([1])
    width = int(oracle.canvas.mask[1].sum())
    agree(subject.select(rows, width), oracle.select(rows, width), symbols(oracle, 2)[1:2, :width])


@pytest.mark.parametrize("way", WAYS)
def test_canvases_may_be_cut_or_grown_between_steps(model: Any, tokenizer: Any, way: str) -> None:
    oracle = denoiser(model, tokenizer, "completion", TEXTS)
    attach_engine(model, graph_tokens=WAYS[way])
    subject = denoiser(model, tokenizer, "completion", TEXTS)
    agree(subject, oracle, symbols(oracle, 0))
    start = oracle.prompt.mask.sum(1, keepdim=True)
    for lengths in ([2, 4, 3], [9, 1, 12]):
        place = torch.arange(max(lengths))
        canvas = Canvas("completion", start + place, place < torch.tensor(lengths)[:, None])
        subject.canvas = oracle.canvas = canvas
        agree(subject, oracle, symbols(oracle, 1))
        agree(subject, oracle, symbols(oracle, 2))
        subject, oracle = (d.select(torch.tensor([2, 0, 1])) for d in (subject, oracle))
        agree(subject, oracle, symbols(oracle, 0))
        subject, oracle = (d.select(torch.tensor([1, 2, 0])) for d in (subject, oracle))


def test_a_bucket_taken_over_by_another_batch_is_filled_again(model: Any, tokenizer: Any) -> None:
    oracles = [denoiser(model, tokenizer, "aligned", [text, text]) for text in TEXTS[:2]]
    engine = attach_engine(model, graph_tokens=WAYS["bucket"])
    subjects = [denoiser(model, tokenizer, "aligned", [text, text]) for text in TEXTS[:2]]
    for shift in range(2):
        for subject, oracle in zip(subjects, oracles, strict=True):
            agree(subject, oracle, symbols(oracle, shift))
    assert len(engine._buckets) == 1  # the two did share one


@pytest.mark.parametrize("way", WAYS)
def test_an_approximate_cache_is_the_same_approximation(tokenizer: Any, way: str) -> None:
    model = tiny_dream(tokenizer, prompt_attention="full")
    options = {"use_cache": "approximate"}
    oracle = denoiser(model, tokenizer, "completion", TEXTS, **options)
    attach_engine(model, graph_tokens=WAYS[way])
    subject = denoiser(model, tokenizer, "completion", TEXTS, **options)
    for shift in range(2):
        agree(subject, oracle, symbols(oracle, shift))


@pytest.mark.filterwarnings("ignore:.*fill the longest canvas")
@pytest.mark.parametrize("canvas", ["aligned", "completion"])
def test_the_extractor_answers_alike_to_the_token(model: Any, tokenizer: Any, canvas: str) -> None:
    texts = [*TEXTS[:2], "bob likes the cat .", "frank met emma"]
    model.config.max_position_embeddings = 64  # untrained, it fills whatever canvas it has
    extractor = EntityExtractor(model, tokenizer, canvas=canvas)
    plain = extractor.batch_predict_entities(texts, TYPES, batch_size=3, steps=2)
    for tokens in WAYS.values():
        attach_engine(model, graph_tokens=tokens)
        packed = extractor.batch_predict_entities(texts, TYPES, batch_size=3, steps=2)
        detach_engine(model)
        places = [[(e["start"], e["end"], e["label"]) for e in found] for found in packed]
        assert places == [[(e["start"], e["end"], e["label"]) for e in found] for found in plain]
        scores = [e["score"] for found in packed for e in found]
        assert scores == pytest.approx([e["score"] for found in plain for e in found], abs=1e-4)
    assert sum(map(len, plain)) > 3


def test_weights_are_held_once_and_stay_the_models_own(tokenizer: Any) -> None:
    model = tiny_dream(tokenizer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attach_engine(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    mlp = model.model.layers[0].mlp
    assert mlp.gate_proj.weight.untyped_storage().data_ptr() == (
        mlp.up_proj.weight.untyped_storage().data_ptr()
    )


def test_float8_is_near_and_not_equal(tokenizer: Any) -> None:
    model = tiny_dream(tokenizer, prompt_attention="isolated").bfloat16()
    oracle = denoiser(model, tokenizer, "aligned", TEXTS)
    ids, mask = symbols(oracle, 0), oracle.canvas.mask
    exact = oracle.hidden(ids)[mask].float()
    attach_engine(model)
    packed = denoiser(model, tokenizer, "aligned", TEXTS).hidden(ids)[mask].float()
    attach_engine(model, float8=True)
    rounded = denoiser(model, tokenizer, "aligned", TEXTS).hidden(ids)[mask].float()
    assert (packed - exact).norm() < 0.02 * exact.norm()
    assert 0.01 * exact.norm() < (rounded - exact).norm() < 0.15 * exact.norm()


def test_an_extractor_merges_an_adapter_and_answers_alike(tokenizer: Any, tmp_path: Path) -> None:
    base = tiny_dream(tokenizer, prompt_attention="isolated")
    base.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    lora = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    adapter = get_peft_model(base, lora)
    adapter.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    adapter.save_pretrained(str(tmp_path / "adapter"))
    tokenizer.save_pretrained(tmp_path / "adapter")
    answers = []
    for engine in ("plain", "packed"):
        extractor = EntityExtractor.from_pretrained(tmp_path / "adapter", device="cpu", engine=engine)
        assert (getattr(extractor.model, "engine", None) is not None) == (engine == "packed")
        found = extractor.batch_predict_entities(TEXTS, TYPES, canvas="aligned")
        answers.append([(e["start"], e["end"], e["label"]) for own in found for e in own])
    assert answers[0] == answers[1] != []


def test_an_unknown_engine_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="engine must be None or one of"):
        with_engine(tiny_dream(tokenizer), "warp")


def test_without_a_gpu_nothing_is_packed_by_itself(tokenizer: Any) -> None:
    assert getattr(with_engine(tiny_dream(tokenizer), None), "engine", None) is None


def test_other_models_are_refused_with_the_reason(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="its type is 'bert'"):
        attach_engine(tiny_bert(tokenizer))
    causal = tiny_dream(tokenizer)
    causal.config.is_causal = True
    with pytest.raises(ValueError, match="it is causal"):
        Engine(causal)


lengths = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=4)


@settings(max_examples=30)
@given(lengths, st.booleans())
def test_packing_says_who_sees_whom(rows: list[tuple[int, int]], isolated: bool) -> None:
    prompts, slots = torch.tensor(rows).T
    packing = Packing.of(prompts, slots, isolated)
    # What each row is: (sentence, whether of the canvas, number), in the order of the run.
    kinds = [(i, 0, j) for i, (n, _) in enumerate(rows) for j in range(n)]
    kinds += [(i, 1, j) for i, (_, n) in enumerate(rows) for j in range(n)]
    assert packing.joint.gather is not None
    keys = [kinds[k] for k in packing.joint.gather.tolist()]
    for number, query in enumerate(kinds):
        segment = int((packing.joint.queries <= number).sum()) - 1
        seen = keys[packing.joint.keys[segment] : packing.joint.keys[segment + 1]]
        own = [k for k in kinds if k[0] == query[0] and (not isolated or query[1] == 1 or k[1] == 0)]
        assert sorted(seen) == sorted(own)
    cached = keys[packing.joint.kept_from :]
    canvases = [k for k in kinds if k[1] == 1]
    assert packing.alone.places is not None
    assert [cached[k] for k in packing.alone.places.tolist()] == canvases


@settings(max_examples=30)
@given(lengths)
def test_padded_attention_is_attention_by_segment(rows: list[tuple[int, int]]) -> None:
    prompts, slots = torch.tensor(rows).T
    packing = Packing.of(prompts, slots, isolated=True)
    assert packing.joint.gather is not None
    torch.manual_seed(len(rows))
    queries = torch.randn(int(packing.joint.queries[-1]), 4, 8)
    keys, values = torch.randn(2, len(packing.joint.gather), 2, 8)
    if not len(queries):
        return
    found = padded_attention(queries, keys, values, packing.joint)
    bounds = zip(packing.joint.queries.diff(), packing.joint.keys.diff(), strict=True)
    at_query = at_key = 0
    for query_count, key_count in bounds:
        mine, theirs = slice(at_query, at_query + query_count), slice(at_key, at_key + key_count)
        expected = functional.scaled_dot_product_attention(
            queries[mine].transpose(0, 1),
            keys[theirs].transpose(0, 1).repeat_interleave(2, 0),
            values[theirs].transpose(0, 1).repeat_interleave(2, 0),
        )
        torch.testing.assert_close(found[mine], expected.transpose(0, 1), **CLOSE)
        at_query, at_key = at_query + query_count, at_key + key_count
