"""Targets around the network: words and tokens, and the predictions read off whatever a network puts out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from modeling import EntityExtractor, load_tokenizer
from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import EncodedPrompt, PromptEncoder
from modeling.canvas.words import split_words
from modeling.custom_generate.grammar import Grammar
from modeling.custom_generate.projection import GroundedProjection, TagProjection
from modeling.custom_generate.settings import DiffusionSettings
from modeling.custom_generate.state import DenoisingStep
from modeling.extraction.chunking import Entity, Limits, flat, nested, plan
from modeling.extraction.prediction import (
    automaton_of,
    predict_aligned,
    predict_free,
    predict_grounded,
    symbols_of,
)
from tests.fuzz.draws import Draws
from tests.fuzz.formats import types
from tests.fuzz.target import Target
from tests.modeling.tiny import tiny_bert, tiny_pointer, toy_tokenizer

NOT_NUMBERS = "the network's outputs are not numbers"
ONE = torch.tensor([1])
CONTEXT = 96  # positions of the networks that are asked whole: their canvases soon end


@cache
def encoders() -> tuple[PromptEncoder, ...]:
    """Encoders of the embedded tokenizer, of a toy one that knows few words, and of one of bare bytes."""
    embedded, toy = load_tokenizer(), toy_tokenizer()
    return (
        PromptEncoder(embedded, pointer_settings(embedded)),
        PromptEncoder(toy, pointer_settings(toy)),
        PromptEncoder(_byte_level(), _BYTE_SETTINGS),
    )


_BYTE_SETTINGS = DiffusionSettings(
    mask_token_id=257, pad_token_id=256, prompt_markers=True, outside_token_id=258, inside_token_id=259,
    first_marker_id=260, max_markers=40,
)  # fmt: skip


def _byte_level() -> PreTrainedTokenizerFast:
    """Return a tokenizer of single bytes, as the byte-level ones of large models fall back to."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.add_tokens([f"<|{n}|>" for n in range(44)], special_tokens=True)
    return fast


def alignment(draws: Draws) -> None:
    """Encode any text with any types, and cut it into windows."""
    encoder, asked, text = draws.choice(encoders()), types(draws), draws.text(20)
    prompt = encoder.encode(asked, text)
    _check_prompt(encoder, prompt)
    limits = Limits(prompt_tokens=draws.integer(60, 200), types=draws.integer(1, 4), type_tokens=100)
    try:
        requests = plan(encoder, [(asked, text)], limits)
    except ValueError as refusal:
        _refused(refusal, "label ")
        return
    assert bool(requests) == bool(prompt.words)
    for group in {request.prompt.types for request in requests}:
        own = [request for request in requests if request.prompt.types == group]
        assert own[0].keep_from == 0
        assert own[-1].keep_to == len(text)
        assert all(a.keep_to == b.keep_from for a, b in pairwise(own))
    for request in requests:
        assert text[request.offset : request.offset + len(request.prompt.text)] == request.prompt.text
        _check_prompt(encoder, request.prompt)
    assert sorted({name for request in requests for name in request.prompt.types}) == sorted(
        asked if requests else []
    )


def _check_prompt(encoder: PromptEncoder, prompt: EncodedPrompt) -> None:
    first, last = prompt.text_span
    assert len(prompt.token_types) == len(prompt)
    assert len(prompt.words) == len(prompt.word_positions)
    assert set(prompt.words) <= set(split_words(prompt.text))
    assert all(a < b for a, b in pairwise(prompt.words))
    assert all(a <= b for a, b in pairwise(prompt.word_positions))
    assert all(first <= at < last for at in prompt.word_positions)
    assert prompt.sources == sorted(set(prompt.sources))
    assert set(range(first, last)) <= set(prompt.sources)
    if encoder.settings.prompt_markers:
        ids = [prompt.input_ids[at] for at in prompt.markers]
        assert ids == encoder.settings.marker_ids(len(prompt.types))
    # Nothing in the text reads as a symbol of the canvas.
    settings = encoder.settings
    symbols = {settings.mask_token_id, settings.pad_token_id, *settings.marker_ids(settings.max_markers)}
    assert not symbols & set(prompt.input_ids[first:last])


def aligned(draws: Draws) -> None:
    """Tag a text by any logits, NaN and infinity among them."""
    encoder, prompt = _prompt(draws)
    slots = len(prompt.words) + draws.integer(0, 2)
    if not prompt.words:
        return
    logits = draws.table(slots, 2 + len(prompt.types))
    log_probs = logits.log_softmax(-1)[None]
    mask = (torch.arange(slots) < len(prompt.words))[None]
    known = torch.full((1, slots), -1)
    choice = TagProjection()(log_probs, known, mask).choice
    step = DenoisingStep(0, choice, choice.float(), choice, None, log_probs, ONE, ONE)
    numbers = not bool(torch.isnan(log_probs[mask]).any())
    try:
        (prediction,) = predict_aligned(encoder, [prompt], step)
    except ValueError as refusal:
        _refused(refusal, NOT_NUMBERS)
        assert not numbers
        return
    assert numbers
    _check(prompt, prediction.entities)
    starts, ends = {start for start, _ in prompt.words}, {end for _, end in prompt.words}
    assert all(e.start in starts and e.end in ends for e in prediction.entities)
    assert flat(prediction.entities) == sorted(prediction.entities, key=lambda e: e.start)


def grounded(draws: Draws) -> None:
    """Write a grounded completion by any logits."""
    encoder, prompt = _prompt(draws)
    automaton = automaton_of(encoder, prompt, symbols_of(encoder))
    grammar = Grammar([automaton])
    slots = draws.integer(1, 24)
    log_probs = draws.table(slots, grammar.candidates.shape[1]).log_softmax(-1)[None]
    mask = torch.ones(1, slots, dtype=torch.bool)
    proposal = GroundedProjection(grammar)(log_probs, torch.full((1, slots), -1), mask)
    sure = log_probs.gather(2, proposal.choice[..., None])[..., 0].exp()
    ids = grammar.candidates.gather(1, proposal.choice)
    step = DenoisingStep(0, ids, sure, proposal.choice, proposal.states, None, ONE, ONE * slots)
    numbers = not bool(torch.isnan(log_probs).any())
    try:
        (prediction,) = predict_grounded(encoder, [prompt], [automaton], step)
    except ValueError as refusal:
        _refused(refusal, NOT_NUMBERS)
        assert not numbers
        return
    assert numbers
    assert proposal.states is not None
    possible = bool(torch.isfinite(log_probs).all()) and slots >= len(symbols_of(encoder).none)
    for entry in automaton.read(proposal.states[0].tolist()):
        assert 0 <= entry.first_word <= entry.last_word < len(prompt.words)
        assert 0 <= entry.type < len(prompt.types)
        assert 0 <= entry.slots[0] < entry.slots[1] <= slots
    if possible:
        assert prediction.hallucinations == []
    _check(prompt, prediction.entities)


def free(draws: Draws) -> None:
    """Read a free completion of any tokens."""
    encoder, prompt = _prompt(draws)
    known = [*prompt.input_ids, *encoder.token_ids([f" {prompt.types[0]}: Ada | none"])[0]]
    size = len(encoder.tokenizer)
    ids = draws.several(lambda: draws.choice(known) if draws.chance() else draws.integer(0, size - 1), 24, 1)
    sure = draws.table(1, len(ids)).abs().clamp(max=1.0)
    canvas = torch.tensor([ids])
    step = DenoisingStep(0, canvas, sure, canvas, None, None, ONE, ONE)
    numbers = not bool(torch.isnan(sure).any())
    try:
        (prediction,) = predict_free(encoder, [prompt], step)
    except ValueError as refusal:
        _refused(refusal, NOT_NUMBERS)
        assert not numbers
        return
    assert numbers
    _check(prompt, prediction.entities)
    found = len(prediction.entities) + len(prediction.hallucinations) + len(prediction.repetitions)
    assert prediction.segments - 1 <= found + len(prediction.violations) <= prediction.segments


def resolution(draws: Draws) -> None:
    """Put together any entities of one text."""

    def entity() -> Entity:
        start = draws.integer(0, 600)
        end = start + draws.integer(1, 40)
        return Entity(start, end, "", draws.choice(("a", "b")), draws.integer(0, 4) / 4)

    entities, overlaps = draws.several(entity, 8), draws.choice(("surest", "longest"))
    kept = flat(entities, overlaps)
    assert all(a.end <= b.start for a, b in pairwise(kept))
    apart = [e for e in entities if all(e is o or e.end <= o.start or o.end <= e.start for o in entities)]
    assert set(apart) <= set(kept) <= set(entities)
    around = nested(entities, overlaps)
    for one in around:
        for other in around:
            crossing = one.start < other.start < one.end < other.end
            assert not crossing
    assert set(around) <= set(entities)


@cache
def extractors() -> tuple[EntityExtractor, ...]:
    """Two untrained networks, of which one points and one writes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = toy_tokenizer()
    with TemporaryDirectory() as folder:
        networks = (tiny_pointer(Path(folder), tokenizer), tiny_bert(tokenizer))
    for network in networks:
        network.config.max_position_embeddings = CONTEXT
    limits = Limits(prompt_tokens=72, types=3)
    return tuple(EntityExtractor(network, tokenizer, limits=limits) for network in networks)


def extraction(draws: Draws) -> None:
    """Ask whole extractors, in every way."""
    extractor = draws.choice(extractors())
    texts = draws.several(lambda: draws.text(14), 2, 1)
    asked = types(draws)
    way: dict = {"canvas": draws.choice(("aligned", "completion")), "steps": draws.integer(1, 2)}
    if way["canvas"] == "completion":
        way |= {"decoding": draws.choice(("plain", "grounded")), "nested": draws.chance()}
    way |= {"adaptive": draws.choice((False, True)), "remasking": way["steps"] > 1 and draws.chance()}
    if draws.chance():
        way |= {"temperature": draws.choice((0.5, 10.0)), "seed": draws.integer(0, 9)}
    try:
        answers = extractor.batch_predict_entities(texts, asked, batch_size=draws.integer(1, 3), **way)
    except ValueError as refusal:
        _refused(refusal, "label ")
        return
    for text, entities in zip(texts, answers, strict=True):
        last = 0
        for entity in entities:
            assert text[entity["start"] : entity["end"]] == entity["text"] != ""
            assert entity["label"] in asked
            assert 0 <= entity["score"] <= 1
            assert entity["start"] >= (0 if way.get("nested") else last)
            last = entity["end"]


def _prompt(draws: Draws) -> tuple[PromptEncoder, EncodedPrompt]:
    encoder = draws.choice(encoders())
    return encoder, encoder.encode(types(draws, 3), draws.text(12))


def _refused(refusal: ValueError, begins: str) -> None:
    """Let pass what the library refuses in its own words, and nothing else."""
    if not str(refusal).startswith(begins):
        raise refusal


def _check(prompt: EncodedPrompt, entities: Sequence[Entity]) -> None:
    for entity in entities:
        assert prompt.text[entity.start : entity.end] == entity.text != ""
        assert entity.label in prompt.types
        assert 0 <= entity.score <= 1


TARGETS = {
    "alignment": Target("words and tokens of any text agree, windows cover it", alignment),
    "aligned": Target("any logits give spans and types of the prompt, or are refused", aligned),
    "grounded": Target("the same for grounded completions", grounded),
    "free": Target("any tokens are read with exact offsets, or counted", free),
    "resolution": Target("entities put together never overlap or cross", resolution),
    "extraction": Target("whole extractors answer exactly, in every way", extraction),
}
