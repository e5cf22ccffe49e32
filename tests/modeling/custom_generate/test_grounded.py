"""Completions of an extractor: grounded ones are valid whatever the network likes, none is cut."""

from __future__ import annotations

from functools import cache

import pytest

from modeling import EntityExtractor
from modeling.canvas.encoding import EncodedPrompt, PromptEncoder
from modeling.canvas.template import parse_completion
from modeling.canvas.words import split_words
from tests.modeling.answers import TOY, alike
from tests.modeling.canvas.test_encoding import TEXTS
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream


@pytest.fixture(scope="module", params=["trained", "bert", "dream", "byte-level"])
def writer(request, tokenizer) -> EntityExtractor:
    """An extractor whose network, mostly untrained, would write anything."""
    if request.param == "trained":
        return request.getfixturevalue("extractor")
    if request.param == "byte-level":
        return request.getfixturevalue("dream")
    model = tiny_bert(tokenizer) if request.param == "bert" else tiny_dream(tokenizer)
    return EntityExtractor(model, tokenizer)


def is_valid(ids: list[int], encoder: PromptEncoder, prompt: EncodedPrompt) -> bool:
    """Whether a canvas is " type: words | type: words", or " none", with the text's words; by trying all."""
    text, words = prompt.text, prompt.words
    gaps = [0, *(end for _, end in words)]
    starts = encoder.token_ids([" " + text[a:b] for a, b in words])
    continues = encoder.token_ids([text[gap:b] for gap, (_, b) in zip(gaps, words, strict=False)])
    names = encoder.token_ids([f" {name}" for name in prompt.types])
    colon, bar = encoder.token_ids(["a:"])[0][-1], encoder.token_ids(["a |"])[0][-1]

    @cache
    def entities(at: int) -> bool:
        """Whether entities, with bars between them, stand from here to the end."""
        for name in names:
            after = at + len(name)
            if ids[at:after] != name or ids[after : after + 1] != [colon]:
                continue
            for first, start in enumerate(starts):
                here, tokens = after + 1, start
                for following in [*continues[first + 1 :], []]:
                    if not tokens or ids[here : here + len(tokens)] != tokens:
                        break
                    here, tokens = here + len(tokens), following
                    # The canvas may end here, or the next entity begins.
                    if here == len(ids) or (ids[here] == bar and entities(here + 1)):
                        return True
        return False

    return entities(0) or ids == encoder.token_ids([" none"])[0]


@pytest.mark.parametrize(
    "way", [{"steps": 1}, {"steps": 4, "remasking": True}, {"steps": 2, "temperature": 2.0, "seed": 1}]
)
def test_a_grounded_completion_never_hallucinates_nor_breaks_the_format(writer, way):
    texts = [*TOY[:3], *(text for text in TEXTS if split_words(text))]
    chosen = writer.options("completion", "grounded", **way)
    wrote = 0
    for text in texts:
        prompt = writer.encoder.encode(TYPES, text)
        *_, step = writer.decoder.stream(prompt, chosen)
        ids, pad = step.ids[0].tolist(), writer.settings.pad_token_id
        length = ids.index(pad) if pad in ids else len(ids)
        assert set(ids[length:]) <= {pad}
        assert is_valid(ids[:length], writer.encoder, prompt)
        (prediction,) = writer.decoder.interpret([prompt], chosen, step)
        wrote += len(prediction.entities)
        for entity in prediction.entities:
            assert text[entity.start : entity.end] == entity.text != ""
            assert entity.label in TYPES
            assert 0 <= entity.score <= 1
        # It reads back by the text format too, where the text does not look like the format itself.
        if writer.encoder.spell("A b") == "A b" and not set(text) & set(":|"):
            parsed = parse_completion(writer.encoder.tokenizer.decode(ids[:length]), TYPES)
            assert parsed.violations == []
            assert all(span in text.replace("\ud800", "\ufffd") for _, span in parsed.entities)
    assert wrote > 0


def test_a_plain_completion_of_an_untrained_network_is_counted_not_dropped(tokenizer):
    extractor = EntityExtractor(tiny_bert(tokenizer), tokenizer)
    chosen = extractor.options("completion", "plain", 1)
    (prediction,) = extractor.decoder.predict([extractor.encoder.encode(TYPES, TOY[0])], chosen)
    assert (
        prediction.segments
        == len(prediction.entities) + len(prediction.hallucinations) + len(prediction.violations)
        > 0
    )


@pytest.fixture
def talkative(tokenizer) -> EntityExtractor:
    """An extractor whose network never writes padding: every answer fills its canvas."""
    model = tiny_bert(tokenizer)
    model.cls.predictions.bias.data[model.generation_config.pad_token_id] = -100.0
    return EntityExtractor(model, tokenizer, canvas="completion")


def test_a_completion_that_fills_its_canvas_is_written_again_on_a_longer_one(talkative):
    prompt = talkative.encoder.encode(["person"], TOY[0])
    chosen = talkative.options("completion", "grounded", 1)
    shown = [
        len(talkative.decoder.slots(prompt, chosen, s)) for s in talkative.decoder.stream(prompt, chosen)
    ]
    assert shown == [64, 128, 256, talkative.decoder.context - len(prompt)]


def test_how_long_a_canvas_can_grow_does_not_depend_on_the_batch(talkative):
    texts = ["alice met bob .", " ".join(["it rained ."] * 120)]
    alone = [talkative.predict_entities(text, TYPES, steps=1) for text in texts]
    together = talkative.batch_predict_entities(texts, TYPES, steps=1)
    assert all(map(alike, together, alone))
