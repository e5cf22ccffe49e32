"""The class that users hold: right offsets, the same answers however it is called, plain errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from modeling import EntityExtractor
from modeling.custom_generate.settings import DiffusionSettings
from modeling.encoding import EncodedPrompt, PromptEncoder
from modeling.planning import Limits
from modeling.sources import EMBEDDED
from modeling.template import parse_completion
from modeling.words import split_words
from tests.modeling.test_encoding import TEXTS, dream_settings
from tests.modeling.test_words import anything
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream, toy_rows

TOY = [row["text"] for row in toy_rows(24, seed=7)]
WAYS: list[dict[str, Any]] = [
    {},
    {"steps": 1},
    {"remasking": True, "steps": 6},
    {"canvas": "completion", "steps": 3},
    {"canvas": "completion", "decoding": "plain", "steps": 3},
]


@pytest.fixture(scope="module")
def extractor(trained) -> EntityExtractor:
    return EntityExtractor.from_pretrained(trained)


@pytest.fixture(scope="module")
def dream(dream_tokenizer) -> EntityExtractor:
    """An untrained network of Dream's shape with its tokenizer: it may write anything."""
    return EntityExtractor(byte_level_dream(dream_tokenizer), dream_tokenizer)


def byte_level_dream(tokenizer: PreTrainedTokenizerBase) -> Qwen2ForCausalLM:
    torch.manual_seed(4)
    config = Qwen2Config(
        vocab_size=152064,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=16,
        initializer_range=0.5,
        is_causal=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = Qwen2ForCausalLM(config).eval()
    dream_settings(tokenizer).apply(model)
    return model


@pytest.fixture(scope="module")
def embedded() -> EntityExtractor:
    if not (EMBEDDED / "config.json").is_file():
        pytest.skip("the embedded model is not in modeling/mini")
    return EntityExtractor.from_pretrained()


def check(text: str, labels: list[str], entities: list[dict]) -> None:
    """Check what holds for every answer."""
    end = 0
    for entity in entities:
        assert set(entity) == {"start", "end", "text", "label", "score"}
        assert text[entity["start"] : entity["end"]] == entity["text"] != ""
        assert entity["start"] >= end  # in order, not overlapping
        end = entity["end"]
        assert entity["label"] in labels
        assert 0 <= entity["score"] <= 1


def alike(left: list[dict], right: list[dict]) -> bool:
    """Whether two answers are equal but for rounding in their scores."""
    return [{**e, "score": 0} for e in left] == [{**e, "score": 0} for e in right] and all(
        abs(a["score"] - b["score"]) < 1e-4 for a, b in zip(left, right, strict=True)
    )


# What holds for every answer.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [*TEXTS, *TOY[:4]])
def test_offsets_labels_and_scores(extractor, text, way):
    check(text, TYPES, extractor.predict_entities(text, TYPES, **way))


@pytest.mark.parametrize("way", [{"canvas": "aligned"}, {"canvas": "completion", "steps": 1}])
@pytest.mark.parametrize("text", TEXTS)
def test_offsets_labels_and_scores_with_a_byte_level_tokenizer(dream, text, way):
    check(text, TYPES, dream.predict_entities(text, TYPES, **way))


@given(anything)
@settings(max_examples=40)
def test_offsets_in_any_text(extractor, text):
    check(text, TYPES, extractor.predict_entities(text, TYPES, outside_bias=-3.0))


def test_the_toy_language_is_read(extractor):
    entities = extractor.predict_entities("Alice Smith visited the PARIS . it rained .", ["city", "Person"])
    assert [(e["start"], e["end"], e["text"], e["label"]) for e in entities] == [
        (0, 11, "Alice Smith", "Person"),
        (24, 29, "PARIS", "city"),
    ]
    assert all(e["score"] > 0.5 for e in entities)
    assert extractor.predict_entities("it rained . it rained .", TYPES) == []


@pytest.mark.parametrize("text", ["", "   ", "\n\t\r\n", "\x00\x01", "\u200b\ufeff"])
@pytest.mark.parametrize("way", WAYS)
def test_a_text_without_words_has_no_entities(extractor, text, way):
    assert extractor.predict_entities(text, TYPES, **way) == []
    assert list(extractor.stream(text, TYPES, **way)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("👩🏽\u200d🚀 alice 🎉 paris", {"alice", "paris"}),
        ("\u202bעברית alice الرياض paris\u202c", {"alice", "paris"}),
        ("alice\x00 met \x00\x00paris", {"alice", "paris"}),
        ("\ud800 alice met \udfff paris", {"alice", "paris"}),
        ("\r\n\u3000alice\u2003met\u00a0paris\u2028", {"alice", "paris"}),
    ],
)
def test_odd_characters_do_not_shift_the_offsets(extractor, text, found):
    entities = extractor.predict_entities(text, TYPES)
    check(text, TYPES, entities)
    assert found <= {e["text"] for e in entities}


# However it is called.


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_is_the_same_as_one_by_one(extractor, way):
    texts = [*TOY[:4], "", *TEXTS[:3]] if way.get("canvas") == "completion" else [*TOY[:12], "", *TEXTS]
    alone = [extractor.predict_entities(text, TYPES, **way) for text in texts]
    for size in (3, 16):
        together = extractor.batch_predict_entities(texts, TYPES, batch_size=size, **way)
        assert all(map(alike, together, alone)), size


def test_every_text_may_have_labels_of_its_own(extractor):
    texts, labels = TOY[:6], [["person"], ["city", "animal"], TYPES, ["animal"], ["city"], TYPES[::-1]]
    answers = extractor.batch_predict_entities(texts, labels)
    for text, own, answer in zip(texts, labels, answers, strict=True):
        assert alike(answer, extractor.predict_entities(text, own))
        check(text, own, answer)


def test_texts_and_labels_may_be_any_iterable(extractor):
    expected = extractor.batch_predict_entities(TOY[:2], TYPES)
    assert extractor.batch_predict_entities(tuple(TOY[:2]), tuple(TYPES)) == expected
    assert extractor.batch_predict_entities((text for text in TOY[:2]), dict.fromkeys(TYPES)) == expected
    assert extractor.batch_predict_entities([], TYPES) == []


def test_the_cache_changes_nothing(extractor):
    for canvas in ("aligned", "completion"):
        cached = extractor.batch_predict_entities(TOY, TYPES, canvas=canvas, steps=3)
        plain = extractor.batch_predict_entities(TOY, TYPES, canvas=canvas, steps=3, use_cache=False)
        assert all(map(alike, cached, plain))


def test_many_threads_give_the_answers_of_one(extractor):
    jobs: list[Callable[[], Any]] = []
    for i, text in enumerate(TOY * 3):
        way = [{}, {"steps": 2}, {"canvas": "completion", "steps": 1}][i % 3]
        own = TYPES[: 1 + i % 3]
        jobs.append(lambda text=text, own=own, way=way: extractor.predict_entities(text, own, **way))
    alone = [job() for job in jobs]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda job: job(), jobs))
    assert together == alone


def test_a_threshold_leaves_out_the_unsure(extractor):
    everything = [e for t in TOY for e in extractor.predict_entities(t, TYPES, outside_bias=-4.0)]
    bound = sorted(e["score"] for e in everything)[len(everything) // 2]
    kept = [e for t in TOY for e in extractor.predict_entities(t, TYPES, bound, outside_bias=-4.0)]
    assert kept == [e for e in everything if e["score"] >= bound]
    assert 0 < len(kept) < len(everything)


def test_the_bias_moves_precision_against_recall(extractor):
    counts = [
        sum(len(e) for e in extractor.batch_predict_entities(TOY, TYPES, outside_bias=bias))
        for bias in (-8.0, 0.0, 8.0)
    ]
    assert counts[0] > counts[1] > counts[2]


def test_sampling_repeats_with_its_seed(extractor):
    text = " ".join(TOY[:4])

    def sample(seed: int | None) -> list[dict]:
        return extractor.predict_entities(text, TYPES, temperature=3.0, seed=seed)

    assert sample(1) == sample(1)
    assert len({str(sample(seed)) for seed in range(5)}) > 1
    for seed in range(3):
        check(text, TYPES, sample(seed))


# Many labels and long texts.


def test_duplicate_labels_are_one(extractor):
    text = "alice met paris"
    answer = extractor.predict_entities(text, ["person", "Person", "  person ", "city"])
    assert alike(answer, extractor.predict_entities(text, ["person", "city"]))
    assert {e["label"] for e in answer} == {"person", "city"}


def test_two_hundred_labels(extractor):
    labels = [*(f"thing {i}" for i in range(100)), "person", *(f"other {i}" for i in range(99))]
    text = "alice met bob in paris . it rained ."
    for way in ({}, {"canvas": "completion", "steps": 2}):
        check(text, labels, extractor.predict_entities(text, labels, **way))
    # Two hundred do not fit a prompt with 58 markers, and nobody has to know.
    assert extractor.settings.max_markers < 200


def test_a_checkpoint_of_few_markers_splits_labels_earlier(tokenizer):
    model = tiny_bert(tokenizer)
    replace(DiffusionSettings.of(model), max_markers=5).apply(model)
    labels = [f"{a}{b}" for a in TYPES for b in range(4)]
    check("alice", labels, EntityExtractor(model, tokenizer).predict_entities("alice", labels))


def test_a_long_text_loses_no_mention_at_its_cuts(trained):
    short = Limits(prompt_tokens=40)  # windows as long as the texts that the network was trained on
    extractor = EntityExtractor.from_pretrained(trained)
    rows = toy_rows(50, seed=3)
    text = " ".join(row["text"] for row in rows)
    alone, at = [], 0
    for row in rows:
        for e in extractor.predict_entities(row["text"], TYPES):
            alone.append((e["start"] + at, e["end"] + at, e["label"]))
        at += len(row["text"]) + 1
    windowed = EntityExtractor(extractor.model, extractor.encoder.tokenizer, limits=short)
    found = windowed.predict_entities(text, TYPES)
    check(text, TYPES, found)
    agreed = {(e["start"], e["end"], e["label"]) for e in found} & set(alone)
    # A neighbouring sentence may tip a close call, but a cut must not lose anything.
    assert len(agreed) > 0.97 * len(alone)
    assert len(found) < 1.03 * len(alone)


def test_a_megabyte_of_text(extractor):
    rows = toy_rows(20_000, seed=5)
    text = " ".join(row["text"] for row in rows)[:1_000_000]
    started = time.monotonic()
    entities = extractor.predict_entities(text, TYPES, steps=1)
    assert time.monotonic() - started < 120
    check(text, TYPES, entities)
    assert len(entities) > 50_000


@pytest.mark.parametrize(
    "text", ["x" * 20_000, "x-" * 5000, "." * 3000, "-".join(["zq7" * 21] * 9) + " alice"]
)
def test_texts_without_ordinary_words(extractor, text):
    # The last one is a single word of more tokens than the network has positions.
    check(text, TYPES, extractor.predict_entities(text, TYPES))
    check(text, TYPES, extractor.predict_entities(text, TYPES, canvas="completion", steps=1))


# Streams.


@pytest.mark.parametrize(
    ("canvas", "decoding"), [("aligned", None), ("completion", None), ("completion", "plain")]
)
def test_a_stream_ends_where_the_answer_is(extractor, canvas, decoding):
    for text in TOY[: 6 if canvas == "aligned" else 2]:
        steps = list(extractor.stream(text, TYPES, steps=4, canvas=canvas, decoding=decoding))
        last = steps[-1]
        assert all(slot["revealed"] for slot in last["slots"])
        answer = extractor.predict_entities(text, TYPES, steps=4, canvas=canvas, decoding=decoding)
        assert alike(last["entities"], answer)
        for step in steps:
            check(text, TYPES, step["entities"])
            assert step["steps"] == 4
            assert 1 <= step["step"] <= 4
            assert all(slot["revealed"] or slot["symbol"] == "" for slot in step["slots"])
            assert all((slot["confidence"] > 0) is slot["revealed"] for slot in step["slots"])


def test_a_stream_reveals_step_by_step(extractor):
    text = TOY[0]
    steps = list(extractor.stream(text, TYPES, steps=4))
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    revealed = [sum(slot["revealed"] for slot in step["slots"]) for step in steps]
    assert revealed == sorted(revealed)
    assert 0 < revealed[0] < revealed[-1] == len(split_words(text))
    assert [slot["text"] for slot in steps[0]["slots"]] == [text[a:b] for a, b in split_words(text)]
    symbols = [slot["symbol"] for slot in steps[-1]["slots"]]
    assert set(symbols) <= {"O", "I", *TYPES}
    assert sum(symbol in TYPES for symbol in symbols) == len(steps[-1]["entities"])


def test_a_stream_of_a_long_text_goes_window_by_window(trained):
    extractor = EntityExtractor.from_pretrained(trained)
    extractor.limits = Limits(prompt_tokens=60)
    text = " ".join(TOY[:8])
    steps = list(extractor.stream(text, TYPES, steps=2))
    assert [step["step"] for step in steps] == [1, 2] * (len(steps) // 2)
    found = [entity for step in steps if step["step"] == 2 for entity in step["entities"]]
    assert alike(found, extractor.predict_entities(text, TYPES, steps=2))


# Grounded completions.


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
        *_, step = writer.runner.steps([prompt], chosen)
        ids, pad = step.ids[0].tolist(), writer.settings.pad_token_id
        length = ids.index(pad) if pad in ids else len(ids)
        assert set(ids[length:]) <= {pad}
        assert is_valid(ids[:length], writer.encoder, prompt)
        (reading,) = writer.runner.interpret([prompt], chosen, step)
        wrote += len(reading.entities)
        for entity in reading.entities:
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
    (reading,) = extractor.runner.read([extractor.encoder.encode(TYPES, TOY[0])], chosen)
    assert (
        reading.segments == len(reading.entities) + len(reading.hallucinations) + len(reading.violations) > 0
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
    shown = [len(talkative.runner.slots(prompt, chosen, s)) for s in talkative.runner.stream(prompt, chosen)]
    assert shown == [64, 128, 256, talkative.runner.context - len(prompt)]


def test_how_long_a_canvas_can_grow_does_not_depend_on_the_batch(talkative):
    texts = ["alice met bob .", " ".join(["it rained ."] * 120)]
    alone = [talkative.predict_entities(text, TYPES, steps=1) for text in texts]
    together = talkative.batch_predict_entities(texts, TYPES, steps=1)
    assert all(map(alike, together, alone))


# Errors.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"labels": "person"},
            TypeError,
            "labels must be a list of strings, got the string 'person'; write ['person']",
        ),
        ({"labels": None}, TypeError, "labels must be a list of strings, got None"),
        ({"labels": []}, ValueError, "no labels given"),
        ({"labels": ["person", ""]}, ValueError, "label '' is empty"),
        ({"labels": ["person", 3]}, TypeError, "every label must be a string, got 3"),
        ({"labels": ["a:b"]}, ValueError, "label 'a:b' holds the character ':'"),
        ({"text": None}, TypeError, "text 0 must be a string, got None of type NoneType"),
        ({"text": b"alice"}, TypeError, "text 0 must be a string, got b'alice' of type bytes"),
        ({"threshold": -0.1}, ValueError, "threshold must be a number in [0, 1], got -0.1"),
        ({"threshold": 1.5}, ValueError, "threshold must be a number in [0, 1], got 1.5"),
        ({"threshold": float("nan")}, ValueError, "threshold must be a number in [0, 1], got nan"),
        ({"threshold": "0.5"}, ValueError, "threshold must be a number in [0, 1], got '0.5'"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
        ({"steps": -1}, ValueError, "steps must be a whole number of at least 1, got -1"),
        ({"steps": 1.5}, ValueError, "steps must be a whole number of at least 1, got 1.5"),
        ({"steps": True}, ValueError, "steps must be a whole number of at least 1, got True"),
        ({"steps": "8"}, ValueError, "steps must be a whole number of at least 1, got '8'"),
        ({"canvas": "square"}, ValueError, "canvas must be one of ('completion', 'aligned'), got 'square'"),
        ({"decoding": "greedy"}, ValueError, "decoding must be one of ('plain', 'grounded'), got 'greedy'"),
        ({"algorithm": "best"}, ValueError, "algorithm must be one of ("),
        ({"temperature": -1.0}, ValueError, "temperature must not be negative, got -1.0"),
        ({"temperature": "hot"}, ValueError, "temperature must be a finite number, got 'hot'"),
        ({"pad_penalty": float("nan")}, ValueError, "pad_penalty must be a finite number, got nan"),
        ({"outside_bias": "x"}, ValueError, "outside_bias must be a finite number, got 'x'"),
        ({"seed": 1.5}, ValueError, "seed must be a whole number, got 1.5"),
        ({"step": 3}, TypeError, "unknown option 'step'; known are canvas, decoding, steps"),
    ],
)
def test_wrong_arguments_are_named_with_the_fix(extractor, arguments, error, message):
    given_ = {"text": "alice", "labels": TYPES, **arguments}
    calls: list[Callable[[], Any]] = [
        lambda: extractor.predict_entities(**given_),
        lambda: list(extractor.stream(**given_)),
    ]
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        assert message in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "8"])
def test_a_wrong_batch_size_is_named(extractor, size):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got"):
        extractor.batch_predict_entities(["alice"], TYPES, batch_size=size)


def test_one_text_is_no_batch(extractor):
    with pytest.raises(TypeError, match="texts must be a list of strings; for one text use predict_entities"):
        extractor.batch_predict_entities("alice", TYPES)
    with pytest.raises(ValueError, match="2 texts but 1 lists of labels; give one list for each text"):
        extractor.batch_predict_entities(["alice", "bob"], [TYPES])


def test_a_checkpoint_without_an_aligned_canvas_says_so(tokenizer):
    model = tiny_dream(tokenizer, outside_token_id=-1)
    extractor = EntityExtractor(model, tokenizer)
    assert extractor.canvas == "completion"
    with pytest.raises(ValueError, match="this checkpoint has no aligned canvas; use canvas='completion'"):
        extractor.predict_entities("alice", TYPES, canvas="aligned")


def test_a_model_that_was_not_loaded_for_diffusion_is_refused(tokenizer):
    model = tiny_dream(tokenizer)
    model.generation_config.mask_token_id = None
    with pytest.raises(ValueError, match=r"has no mask_token_id.*load it with modeling.load_model"):
        EntityExtractor(model, tokenizer)


# The embedded model.


def test_the_embedded_model_reads_english(embedded):
    text = "Tim Cook visited the Apple campus in Cupertino."
    entities = embedded.predict_entities(text, ["person", "organization", "location"])
    check(text, ["person", "organization", "location"], entities)
    assert ("Tim Cook", "person") in {(e["text"], e["label"]) for e in entities}
    assert ("Cupertino", "location") in {(e["text"], e["label"]) for e in entities}


def test_the_embedded_model_answers_alike_in_batches_and_streams(embedded):
    texts = [
        "Marie Curie was born in Warsaw.",
        "It rained.",
        "",
        "The Rhine flows through Basel and Cologne.",
    ]
    labels = ["person", "city", "river"]
    alone = [embedded.predict_entities(text, labels) for text in texts]
    assert all(map(alike, embedded.batch_predict_entities(texts, labels), alone))
    for text, answer in zip(texts, alone, strict=True):
        steps = list(embedded.stream(text, labels))
        assert alike(steps[-1]["entities"], answer) if steps else answer == []


def test_the_embedded_model_lies_in_the_repository():
    assert Path("modeling/mini").parts == EMBEDDED.parts[-2:]
