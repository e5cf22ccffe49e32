"""The denoising loop as transformers' generate calls it: what each step does, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from transformers import TextIteratorStreamer
from transformers.generation.streamers import BaseStreamer

from modeling.custom_generate.config import DecodingConfig
from modeling.custom_generate.generate import DiffusionOutput, generate
from modeling.custom_generate.network import Canvas, Prompt, forward_joint, position_ids
from modeling.custom_generate.rounds import make_task
from modeling.custom_generate.row_noise import RowNoise
from modeling.custom_generate.settings import DiffusionSettings
from modeling.custom_generate.unmasking import REMASKING_CAP, RULES
from tests.conftest import REPOSITORY
from tests.modeling.tiny import tiny_bert, tiny_dream

PROMPT = torch.tensor([[0, 0, 70, 81, 92, 103], [75, 86, 97, 108, 119, 130]])
MASK = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
ABSORBING, PAD = 64, 0
SLOTS = 12


@pytest.fixture(scope="module", params=["bert", "dream"])
def model(request, tokenizer) -> Any:
    return tiny_bert(tokenizer) if request.param == "bert" else tiny_dream(tokenizer)


def run(model: Any, **options: Any) -> DiffusionOutput:
    given = {"steps": 5, **options}
    if "canvas_positions" not in options:
        given.setdefault("max_new_tokens", SLOTS)
    return generate(
        PROMPT,
        model=model,
        attention_mask=MASK,
        output_history=True,
        return_dict_in_generate=True,
        **given,
    )


def aligned(**changes: Any) -> dict[str, Any]:
    """Return the arguments of an aligned canvas of four and three words."""
    given: dict[str, Any] = {
        "canvas": "aligned",
        "canvas_positions": torch.tensor([[0, 1, 2, 3], [1, 2, 4, 0]]),
        "canvas_mask": torch.tensor([[True] * 4, [True] * 3 + [False]]),
        "type_counts": torch.tensor([3, 2]),
    }
    return {**given, **changes}


@pytest.mark.parametrize("schedule", RULES["schedule"])
@pytest.mark.parametrize("canvas", [*({"algorithm": name} for name in RULES["algorithm"]), aligned()])
def test_every_slot_is_revealed_once_and_stays(model, schedule, canvas):
    output = run(model, schedule=schedule, **canvas)
    assert output.history.shape == (5, *output.sequences.shape)
    assert torch.equal(output.history[-1], output.sequences)
    assert (output.history[:, :, :6] == PROMPT).all()
    assert ABSORBING not in output.sequences
    for before, after in pairwise(output.history):
        known = before != ABSORBING
        assert torch.equal(after[known], before[known])
    assert (output.forwards <= 5).all()
    assert ((output.confidence > 0) & (output.confidence <= 1)).sum(1).tolist() == (
        [4, 3] if "canvas" in canvas else [SLOTS] * 2
    )


def test_one_step_writes_the_likeliest_tokens(model):
    output = run(model, steps=1)
    settings = DiffusionSettings.of(model)
    prompt = Prompt(PROMPT, MASK, position_ids(MASK))
    start = MASK.sum(1, keepdim=True)
    blank = Canvas("completion", start + torch.arange(SLOTS), torch.ones(2, SLOTS, dtype=torch.bool))
    masks = torch.full((2, SLOTS), ABSORBING)
    with torch.no_grad():
        before, (hidden,) = forward_joint(model, prompt, [blank], [masks], settings.prompt_attention)
        if settings.logits_shift:
            hidden = torch.cat([before[:, -1:], hidden[:, :-1]], dim=1)
        logits = model.cls(hidden) if hasattr(model, "cls") else model.lm_head(hidden)
    best = logits.softmax(-1).max(-1)
    assert torch.equal(output.sequences[:, 6:], best.indices)
    torch.testing.assert_close(output.confidence, best.values, atol=1e-5, rtol=1e-4)


def test_padding_waits_for_the_last_of_the_answer(tokenizer):
    model = tiny_bert(tokenizer)
    model.cls.predictions.bias.data[PAD] = 3.2  # half of the slots would rather be padding
    output = run(model, steps=4, max_new_tokens=24)
    canvas = output.history[:, :, 6:]
    content = (canvas[-1] != PAD).sum(1)
    assert ((content > 4) & (content < 20)).all()
    for row, count in enumerate(content.tolist()):
        shown = [int((step[row] != ABSORBING).sum()) for step in canvas]
        padding = [int((step[row] == PAD).sum()) for step in canvas]
        done = shown.index(24)
        # No padding before the answer is whole, and no step writes more than its share of all the slots.
        assert padding[:done] == [0] * done
        written = [after - before for before, after in pairwise([0, *shown[:done], count])]
        assert done >= 2
        assert max(written) <= 24 / 4


def test_a_penalty_on_padding_keeps_it_from_the_first_step(tokenizer):
    model = tiny_bert(tokenizer)
    model.cls.predictions.bias.data[PAD] = 50.0
    assert (run(model, steps=4, pad_penalty=0.0).sequences[:, 6:] == PAD).all()
    first = run(model, steps=4, pad_penalty=1000.0).history[:, :, 6:]
    assert PAD not in first[0]
    # The only step is the first one, and takes all of it off.
    assert PAD not in run(model, steps=1, pad_penalty=1000.0).sequences[:, 6:]


@pytest.mark.parametrize(("steps", "taken"), [(8, [5 * (8 - t) / 8 for t in range(8)]), (1, [5.0])])
def test_the_penalty_of_each_step_is_its_share(tokenizer, steps, taken):
    """From 5.0 at the first of eight steps to 0.625 at the last: read off the probability of padding."""
    model = tiny_bert(tokenizer)
    decoder, bias = model.cls.predictions.decoder, model.cls.predictions.bias
    decoder.weight.data.zero_()  # the network says the same of every slot: padding, then one token
    bias.data[:] = -100.0
    token, odds = 100, 3.0
    bias.data[PAD], bias.data[token] = odds, 0.0
    assert 5 * (steps - 1) / steps == pytest.approx(taken[0] - taken[-1])
    output = run(model, steps=steps, max_new_tokens=steps, schedule="dream", pad_penalty=5.0)
    canvas = output.history[:, 0, 6:]
    for slot, step in enumerate((canvas != ABSORBING).int().argmax(0).tolist()):
        margin = odds - taken[step]
        likelier = PAD if margin > 0 else token
        assert int(canvas[-1, slot]) == likelier
        expected = torch.tensor(abs(margin)).sigmoid()
        torch.testing.assert_close(output.confidence[0, slot], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("canvas", [{}, aligned()])
def test_remasking_takes_the_least_sure_back_within_its_budget(model, canvas):
    steps = 24
    output = run(model, steps=steps, remasking=True, **(canvas or {"max_new_tokens": 40}))
    assert ABSORBING not in output.sequences
    again = 0
    for before, after in pairwise(output.history):
        shown = before != ABSORBING
        changed = ((before != after) & shown).sum(1)
        assert (changed <= REMASKING_CAP * shown[:, 6:].sum(1) + 1).all()
        again += int(changed.sum())
    if not canvas:
        assert again > 0  # so the loop did look at some slots twice


def test_the_aligned_canvas_says_its_tags_and_their_probabilities(model):
    output = run(model, **aligned())
    settings = DiffusionSettings.of(model)
    symbols = [settings.outside_token_id, settings.inside_token_id, *settings.marker_ids(3)]
    ids = output.sequences[:, 6:]
    for row, count in enumerate((4, 3)):
        assert ids[row, :count].tolist() == [symbols[tag] for tag in output.choice[row, :count].tolist()]
        # The second prompt asks for two types: the third marker is none of its symbols.
        assert all(tag < 2 + [3, 2][row] for tag in output.choice[row].tolist())
        kept = output.log_probs[row, :count]
        torch.testing.assert_close(kept.exp().sum(-1), torch.ones(count))
        own = kept.gather(1, output.choice[row, :count, None])[:, 0].exp()
        torch.testing.assert_close(own, output.confidence[row, :count])
    # A slot that does not exist is O.
    assert int(ids[1, 3]) == settings.outside_token_id


def test_a_bias_on_o_is_added_to_its_logit(model):
    nothing = run(model, **aligned(outside_bias=100.0))
    assert (nothing.choice == 0).all()
    assert (run(model, **aligned(outside_bias=-100.0)).choice != 0).sum(1).tolist() == [4, 3]


def test_sampling_repeats_with_its_seed_and_differs_without(model):
    first = run(model, temperature=1.5, seed=3).sequences
    assert torch.equal(first, run(model, temperature=1.5, seed=3).sequences)
    drawn = [
        run(model, temperature=1.5, generator=torch.Generator().manual_seed(3)).sequences for _ in range(2)
    ]
    assert torch.equal(*drawn)
    assert not torch.equal(first, run(model, temperature=1.5, seed=4).sequences)
    assert not torch.equal(first, run(model).sequences)


def test_samples_follow_the_distribution():
    """The noise's best symbol is a sample: the shares of 2,000 draws are the probabilities."""
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0]).log_softmax(-1)
    noise, every = RowNoise([0]), torch.ones(1, 2000, dtype=torch.bool)
    for temperature in (1.0, 2.0):
        drawn = noise.perturb(logits.expand(1, 2000, 4), temperature, [0], every, torch.tensor([4])).argmax(
            -1
        )
        shares = torch.bincount(drawn[0], minlength=4) / 2000
        # Four standard errors of a share.
        torch.testing.assert_close(shares, (logits / temperature).softmax(-1), atol=0.045, rtol=0)


def test_plain_tensors_come_back_unless_more_is_asked_for(model):
    sequences = generate(PROMPT, model=model, attention_mask=MASK, max_new_tokens=4, steps=2)
    assert sequences.shape == (2, 10)
    again = generate(model=model, input_ids=PROMPT, attention_mask=MASK, max_new_tokens=4, steps=2)
    assert torch.equal(sequences, again)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 2.0}, "steps must be a whole number of at least 1, got 2.0"),
        ({"algorithm": "best"}, "algorithm must be one of .*got 'best'"),
        ({"schedule": "cosine"}, "schedule must be one of .*got 'cosine'"),
        ({"canvas": "square"}, "canvas must be one of .*got 'square'"),
        ({"decoding": "beam"}, "decoding must be one of .*got 'beam'"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"temperature": -1}, "temperature must not be negative, got -1"),
        ({"pad_penalty": float("inf")}, "pad_penalty must be a finite number, got inf"),
        (
            {"temperature": 1.0, "seed": 1, "generator": torch.Generator()},
            "give seed or generator, not both",
        ),
        ({"generator": torch.Generator()}, "generator needs a temperature above 0"),
        ({"type_counts": torch.tensor([1, 1])}, "type_counts needs canvas='aligned'; leave type_counts out"),
        ({"word_ids": torch.zeros(2, 3)}, "word_ids needs canvas='aligned'; leave word_ids out"),
        (
            {"decoding": "plain", "grammar": object()},
            "grammar needs decoding='grounded'; leave grammar out",
        ),
        (
            aligned(max_new_tokens=4),
            "max_new_tokens needs a completion canvas without canvas_positions",
        ),
        ({"num_beams": 4}, "masked diffusion does not use num_beams; leave it out"),
        ({"top_k": 5, "do_sample": True}, "masked diffusion does not use do_sample, top_k"),
        ({"decoding": "grounded"}, "decoding='grounded' needs a grammar"),
        ({"canvas": "aligned"}, "the aligned canvas needs canvas_positions"),
        (aligned(type_counts=None), "the aligned canvas needs type_counts"),
        (
            aligned(type_counts=torch.tensor([3, 100])),
            "100 types in one prompt, but this checkpoint has 58 markers",
        ),
    ],
)
def test_wrong_arguments_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        run(model, **options)


@pytest.mark.parametrize("prompt", [None, torch.tensor([1, 2, 3])])
def test_a_prompt_of_the_wrong_shape_is_refused(model, prompt):
    with pytest.raises(ValueError, match=r"give the prompt as input_ids of shape \[batch, length\]"):
        generate(prompt, model=model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits_shift": 2}, "logits_shift must be 0 or 1, got 2"),
        ({"prompt_attention": "half"}, "prompt_attention must be one of .*got 'half'"),
        ({"canvas": "square"}, "canvas must be one of .*got 'square'"),
        ({"canvas": "aligned"}, "canvas='aligned' needs outside_token_id"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DiffusionSettings(mask_token_id=1, pad_token_id=0, **changes)


class Recorder(BaseStreamer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.confirmed: list[torch.Tensor] = []
        self.drafts: list[torch.Tensor] = []
        self.ended = 0

    def put(self, value: torch.Tensor) -> None:
        self.confirmed.append(value)

    def put_draft(self, value: torch.Tensor) -> None:
        self.drafts.append(value)

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("canvas", [{}, aligned()])
def test_a_streamer_gets_prompt_drafts_and_canvas(model, canvas):
    streamer = Recorder()
    output = run(model, steps=4, streamer=streamer, **canvas)
    start = PROMPT.shape[1]
    prompt, final = streamer.confirmed
    assert torch.equal(prompt, PROMPT)
    assert torch.equal(final, output.sequences[:, start:])
    assert streamer.ended == 1
    assert len(streamer.drafts) == int(output.forwards.max()) == 4
    for draft, state in zip(streamer.drafts, output.history[:, :, start:], strict=True):
        assert ABSORBING not in draft  # a draft is the whole canvas as the network would finish it now
        shown = state != ABSORBING
        assert torch.equal(draft[shown], state[shown])
    assert torch.equal(streamer.drafts[-1], final)


def test_a_streamer_without_drafts_gets_the_canvas_alone(model, tokenizer):
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    sequences = generate(PROMPT[1:], model=model, max_new_tokens=4, steps=2, streamer=streamer)
    assert "".join(streamer).split() == tokenizer.decode(sequences[0, PROMPT.shape[1] :]).split()


def test_a_streamer_that_wants_logits_is_refused(model):
    streamer = Recorder()
    streamer._takes_logits = True
    with pytest.raises(ValueError, match="this streamer takes logits as drafts; masked diffusion sends it"):
        run(model, streamer=streamer)


def test_everything_goes_through_transformers_generate(tokenizer):
    model = tiny_dream(tokenizer)
    streamer = Recorder()
    options = {
        "steps": 6,
        "adaptive": "entropy",
        "entropy_bound": 2.0,
        "fit_canvas": True,
        "max_new_tokens": 16,
        "num_return_sequences": 2,
        "temperature": 1.2,
        "seed": 4,
        "return_dict_in_generate": True,
    }
    output = model.generate(
        PROMPT,
        attention_mask=MASK,
        custom_generate=str(REPOSITORY / "modeling"),
        trust_remote_code=True,
        streamer=streamer,
        **options,
    )
    own = generate(PROMPT, model=model, attention_mask=MASK, **options)
    assert torch.equal(output.sequences, own.sequences)
    assert torch.equal(output.forwards, own.forwards)
    assert len(output.sequences) == 4
    assert streamer.drafts


def test_the_aligned_canvas_has_no_plain_decoding(model):
    with pytest.raises(ValueError, match="decoding='plain' is for the completion canvas"):
        run(model, decoding="plain", **aligned())


def test_sampling_needs_noise(model):
    canvas = Canvas("completion", MASK.sum(1, keepdim=True) + torch.arange(3), torch.ones(2, 3).bool())
    prompt = Prompt(PROMPT, MASK, position_ids(MASK))
    config = DecodingConfig("completion", "plain", temperature=1.0)
    task = make_task(model, DiffusionSettings.of(model), prompt, canvas, config)
    with pytest.raises(ValueError, match="sampling with a temperature needs noise"):
        next(task.steps())
