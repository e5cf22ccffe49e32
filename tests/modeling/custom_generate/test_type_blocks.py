"""Types as blocks: their order, their number and their letter case change nothing they should not."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
import torch

from modeling.backbones.pointer_bert import TYPE_NAME, PointerBert
from modeling.backbones.pointer_init import pointer_from_encoder
from modeling.canvas.encoding import EncodedPrompt
from modeling.canvas.tensors import prompt_tensors
from modeling.custom_generate.engine import Engine
from modeling.custom_generate.network import Prompt, visibility
from modeling.custom_generate.settings import DiffusionSettings
from modeling.extraction.chunking import Limits
from modeling.extraction.extractor import EntityExtractor
from modeling.training.batch import TrainingBatch
from modeling.training.collator import EntityCollator
from modeling.training.loss import DiffusionLoss
from modeling.training.queries import QuerySampler
from tests.modeling.tiny import INVENTORIES, LEXICON, save_encoder, toy_rows

LABELS = ["person", "city", "animal", "the alice", "smith", "cub town", "x-y", "none", "a b c d"]
BIAS = -1.0  # of O: a random network then finds some entities in every text
WAYS = [{}, {"steps": 4}, {"adaptive": "threshold", "steps": 4, "confidence_threshold": 0.3}]


def network(folder: Any, tokenizer: Any, type_attention: str) -> PointerBert:
    """Return a random pointer network whose answers vary from text to text."""
    save_encoder(folder, tokenizer, 2, 32)
    model = pointer_from_encoder(folder, tokenizer, type_attention=type_attention).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.4)
            if "symbol" in name:
                weight.zero_()
    return model


@pytest.fixture(scope="module", params=["text", "own"])
def extractor(request, tokenizer, tmp_path_factory) -> EntityExtractor:
    model = network(tmp_path_factory.mktemp("encoder"), tokenizer, request.param)
    return EntityExtractor(model, tokenizer)


def random_texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of toy words, some over several lines."""
    rng = random.Random(seed)
    words = [word for own in LEXICON.values() for word in own] + [
        "the",
        "met",
        ".",
        ",",
        "Xy-1",
        "\n",
        "\t",
        "\n\n",
    ]
    return [" ".join(rng.choices(words, k=rng.randint(1, 24))) + " end" for _ in range(count)]


def read(
    extractor: EntityExtractor, prompts: list[EncodedPrompt], use_cache: bool = True, **way: Any
) -> list[dict[tuple[int, int, str], float]]:
    """Return the score of each entity of each prompt."""
    options = extractor.options(
        None, None, way.pop("steps", None), use_cache=use_cache, outside_bias=BIAS, **way
    )
    predictions = extractor.decoder.predict(prompts, options)
    return [{(e.start, e.end, e.label): e.score for e in prediction.entities} for prediction in predictions]


def orders(labels: list[str], rng: random.Random) -> list[list[str]]:
    """Return five orders of the labels."""
    return [labels, labels[::-1], *(rng.sample(labels, len(labels)) for _ in range(3))]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_order_of_labels_changes_no_answer_of_the_network(extractor, way):
    # The extractor sorts its labels; here the prompts have them in the order given.
    rng = random.Random(1)
    asked = [(rng.sample(LABELS, rng.randint(4, 9)), text) for text in random_texts(24)]
    every = [orders(labels, rng) for labels, _ in asked]
    found = []
    for number in range(5):
        requests = [(own[number], text) for own, (_, text) in zip(every, asked, strict=True)]
        found.append(read(extractor, extractor.encoder.encode_batch(requests), **way))
    assert sum(map(len, found[0])) > 40
    assert len({label for own in found[0] for _, _, label in own}) > 4
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert one.keys() == same.keys()
            assert list(one.values()) == pytest.approx([same[key] for key in one], abs=1e-5)


def test_the_order_of_labels_changes_nothing_for_users_even_over_several_prompts(extractor):
    few = EntityExtractor(extractor.model, extractor.encoder.tokenizer, limits=Limits(types=3))
    rng = random.Random(2)
    for labels in orders(LABELS, rng):
        found = few.batch_predict_entities(random_texts(6), labels, outside_bias=BIAS)
        assert found == few.batch_predict_entities(random_texts(6), LABELS, outside_bias=BIAS)
        assert any(found)
        completion = few.batch_predict_entities(random_texts(6), labels, canvas="completion")
        assert completion == few.batch_predict_entities(random_texts(6), LABELS, canvas="completion")


def test_labels_of_the_same_tokens_are_told_apart_the_same_in_every_order(extractor):
    labels = ["citý", "city", "person"]  # the vocabulary has no accents
    for text in random_texts(10):
        assert extractor.predict_entities(text, labels) == extractor.predict_entities(text, labels[::-1])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_cached_prompt_is_the_joint_one(extractor, way):
    prompts = extractor.encoder.encode_batch(
        [(LABELS[: 2 + i % 6], t) for i, t in enumerate(random_texts(16))]
    )
    cached, joint = read(extractor, prompts, **way), read(extractor, prompts, use_cache=False, **way)
    alone = [read(extractor, [prompt], **way)[0] for prompt in prompts]  # without padding
    for one, *others in zip(cached, joint, alone, strict=True):
        for other in others:
            assert one.keys() == other.keys()
            assert list(one.values()) == pytest.approx([other[key] for key in one], abs=1e-5)


def test_letter_case_of_a_label_does_not_exist(extractor):
    small, large = ["person", "city"], ["PERSON", "City"]
    for text in random_texts(8):
        a, b = (extractor.encoder.encode(labels, text) for labels in (small, large))
        assert (a.input_ids, a.token_types) == (b.input_ids, b.token_types)


def test_the_layout_of_a_prompt(extractor):
    encoder = extractor.encoder
    settings = encoder.settings
    prompt = encoder.encode(["person", "a city"], "Alice\n\n\nmet\t BOB-x")
    tokens = encoder.tokenizer.convert_ids_to_tokens(prompt.input_ids)
    marker = encoder.tokenizer.convert_ids_to_tokens(settings.first_marker_id)
    newline, tab = encoder.tokenizer.convert_ids_to_tokens([settings.newline_token_id, settings.tab_token_id])
    assert tokens[:11] == [
        "[CLS]",
        marker,
        "person",
        marker,
        "a",
        "city",
        "alice",
        newline,
        newline,
        "met",
        tab,
    ]
    text = len(tokens) - 6
    assert prompt.positions == [0, 1, 2, 1, 2, 3, *range(1, 1 + text)]
    assert prompt.blocks == [0, 1, 1, 2, 2, 2] + [0] * text
    assert prompt.token_types[:7] == [0, *[TYPE_NAME] * 5, 1]
    assert prompt.markers == [1, 3]
    assert prompt.text_span == (6, len(tokens))
    assert prompt.end_position == 1 + text
    assert [prompt.text[a:b] for a, b in prompt.words] == ["Alice", "met", "BOB", "-", "x"]
    # Line breaks are no word and nothing to copy.
    breaks = [i for i, token in enumerate(tokens) if token in (newline, tab)]
    assert not set(breaks) & {*prompt.sources, *prompt.word_positions}
    # The text stands where it stands whatever is asked for.
    other = encoder.encode(["x"], prompt.text)
    assert other.positions[slice(*other.text_span)] == prompt.positions[slice(*prompt.text_span)]


def oracle(segments: list[int], blocks: list[int], type_attention: str) -> list[list[bool]]:
    """Return who sees whom in one row, rule by rule."""
    size = len(segments)
    table = [[False] * size for _ in range(size)]
    for query, key in product(range(size), range(size)):
        if segments[query] < 0:
            table[query][key] = query == key
        elif segments[key] < 0:
            continue
        elif segments[query] > 0:  # a canvas: the prompt and itself
            table[query][key] = segments[key] in (0, segments[query])
        elif segments[key] > 0:  # the prompt sees no canvas
            continue
        elif blocks[query] == 0:  # the text sees the whole prompt
            table[query][key] = True
        elif blocks[key] == 0:  # a type sees the text in one variant
            table[query][key] = type_attention == "text"
        else:
            table[query][key] = blocks[query] == blocks[key]
    return table


@pytest.mark.parametrize("type_attention", ["text", "own"])
def test_who_sees_whom_is_what_the_rules_say(type_attention):
    rng = random.Random(4)
    for _ in range(50):
        size = rng.randint(1, 14)
        segments = [rng.choice([-1, 0, 0, 0, 1, 2]) for _ in range(size)]
        blocks = [rng.randint(0, 3) if segment == 0 else 0 for segment in segments]
        seen = visibility(torch.tensor([segments]), "isolated", torch.tensor([blocks]), type_attention)
        assert seen[0, 0].tolist() == oracle(segments, blocks, type_attention)


def test_a_loss_of_both_canvases_reaches_types_text_and_heads(extractor):
    encoder = extractor.encoder
    collator = EntityCollator(encoder, QuerySampler(INVENTORIES), canvas_length=48)
    torch.manual_seed(0)
    tensors = collator(toy_rows(12))
    batch = TrainingBatch.from_tensors(tensors)
    assert batch.prompt.blocks is not None
    model, settings = extractor.model, encoder.settings
    model.train()
    try:
        output = DiffusionLoss()(model, settings, batch)
        output.loss.backward()
    finally:
        model.eval()
    grads = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads.values())
    words = grads["bert.embeddings.word_embeddings.weight"]
    assert words[settings.first_marker_id].abs().sum() > 0
    # No numbered marker is embedded: the order of types has no way in.
    assert not words[settings.first_marker_id + 1 : settings.first_marker_id + settings.max_markers].any()
    assert grads["bert.embeddings.token_type_embeddings.weight"][TYPE_NAME].abs().sum() > 0


def test_selected_prompts_keep_their_blocks_and_the_packed_engine_refuses_them(extractor):
    prompts = extractor.encoder.encode_batch([(["person"], "alice"), (["city", "animal"], "bob met paris")])
    t = prompt_tensors(prompts, 0, left=True)
    prompt = Prompt(t["prompt_ids"], t["prompt_mask"], t["prompt_positions"], blocks=t["prompt_blocks"])
    assert torch.equal(prompt.select(torch.tensor([1])).blocks, t["prompt_blocks"][1:])
    assert prompt.ends().tolist() == [one.end_position for one in prompts] == [2, 4]
    with pytest.raises(ValueError, match="packed engine runs prompts whose types are one list"):
        Engine.open(None, prompt, isolated=True, reuse=True, shifted=False)


@pytest.mark.parametrize("canvas", ["aligned", "completion"])
def test_the_settings_of_a_checkpoint_come_back(extractor, tmp_path, canvas):
    extractor.model.save_pretrained(tmp_path)
    extractor.encoder.tokenizer.save_pretrained(tmp_path)
    again = EntityExtractor.from_pretrained(tmp_path, device="cpu")
    assert again.settings == extractor.settings
    text = random_texts(1, seed=5)[0]
    assert again.predict_entities(text, LABELS, canvas=canvas) == extractor.predict_entities(
        text, LABELS, canvas=canvas
    )


def test_type_blocks_need_an_isolated_prompt_with_markers(extractor):
    fields = vars(extractor.settings)
    for change in ({"prompt_attention": "full"}, {"prompt_markers": False}):
        with pytest.raises(ValueError, match="needs prompt_markers and prompt_attention='isolated'"):
            DiffusionSettings(**{**fields, **change})
    with pytest.raises(ValueError, match="newline_token_id and tab_token_id need type_attention"):
        DiffusionSettings(**{**fields, "type_attention": "joint"})
    with pytest.raises(ValueError, match="type_attention must be one of"):
        DiffusionSettings(**{**fields, "type_attention": "none"})
