"""Stochastic runs: one call for many, and no answer depends on who else is in the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modeling.custom_generate.generate import generate
from modeling.custom_generate.row_noise import RowNoise, row_seed
from tests.modeling.answers import TOY, check
from tests.modeling.custom_generate.test_generate import MASK, PROMPT, SLOTS, run
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream


@pytest.fixture(scope="module", params=["bert", "dream"])
def model(request, tokenizer) -> Any:
    return tiny_bert(tokenizer) if request.param == "bert" else tiny_dream(tokenizer)


def test_the_runs_of_a_prompt_are_those_of_a_call_each(model):
    options = {"temperature": 1.5, "seed": 7, "max_new_tokens": SLOTS, "steps": 3, "pad_penalty": 0.0}
    together = generate(PROMPT, model=model, attention_mask=MASK, num_return_sequences=4, **options)
    assert together.shape == (8, PROMPT.shape[1] + SLOTS)
    assert torch.equal(together[::4], run(model, steps=3, temperature=1.5, seed=7).sequences)
    assert len({tuple(row) for row in together.tolist()}) == 8
    for row in range(2):
        own = MASK[row].bool()
        alone = generate(PROMPT[row : row + 1, own], model=model, num_return_sequences=4, **options)
        assert torch.equal(together[4 * row : 4 * row + 4, PROMPT.shape[1] :], alone[:, int(own.sum()) :])


def test_fewer_runs_are_the_first_of_many(model):
    few, many = (run(model, temperature=1.0, seed=1, num_return_sequences=n).sequences for n in (2, 5))
    assert torch.equal(few.view(2, 2, -1), many.view(2, 5, -1)[:, :2])


def test_runs_without_noise_are_alike(model):
    output = run(model, num_return_sequences=3)
    assert torch.equal(output.sequences, run(model).sequences.repeat_interleave(3, dim=0))
    for count in (0, True):
        with pytest.raises(ValueError, match="num_return_sequences must be at least 1"):
            run(model, num_return_sequences=count)


def test_a_seed_depends_on_all_its_parts():
    seeds = [row_seed(*parts) for parts in ((0, [1, 2], 0), (1, [1, 2], 0), (0, [2, 1], 0), (0, [1, 2], 1))]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert row_seed(0, [1, 2], 0) == seeds[0]
    assert row_seed(-5, [], 3) >= 0


def test_a_row_draws_alike_however_wide_the_batch_is():
    narrow, wide = torch.zeros(1, 3, 4), torch.zeros(2, 6, 9)
    open_ = torch.tensor([[True, False, True]])
    first = RowNoise([3]).perturb(narrow, 1.0, [0], open_, torch.tensor([4]))
    wider = torch.zeros(2, 6, dtype=torch.bool)
    wider[1, :3], wider[0] = open_[0], True
    second = RowNoise([8, 3]).perturb(wide, 1.0, [0, 1], wider, torch.tensor([9, 4]))
    assert torch.equal(first[0], second[1, :3, :4])
    assert (first[0, 1] == 0).all()  # a slot that is known gets no noise
    assert (second[1, :, 4:] == 0).all()


# In the extractor.


def test_sampled_entities_do_not_depend_on_the_batch(extractor):
    texts = [*TOY[:4], " ".join(TOY[4:8])]
    for way in ({}, {"canvas": "completion", "steps": 2}):
        options: dict[str, Any] = {"runs": 3, "temperature": 2.0, "seed": 11, **way}
        alone = [extractor.sample_entities(text, TYPES, **options) for text in texts]
        for size in (1, 4, 32):
            together = extractor.batch_sample_entities(texts, TYPES, batch_size=size, **options)
            spans = [
                [[[(e["start"], e["end"], e["label"]) for e in run] for run in own] for own in answers]
                for answers in (alone, together)
            ]
            assert spans[0] == spans[1], size
        assert all(len(own) == 3 for own in alone)
        for text, own in zip(texts, alone, strict=True):
            for entities in own:
                check(text, TYPES, entities)
    assert len({str(run) for own in alone for run in own}) > len(texts)


def test_the_first_run_is_what_a_call_with_the_seed_answers(extractor):
    runs = extractor.sample_entities(TOY[0], TYPES, runs=4, temperature=3.0, seed=2)
    single = extractor.predict_entities(TOY[0], TYPES, temperature=3.0, seed=2)
    assert [(e["start"], e["label"]) for e in runs[0]] == [(e["start"], e["label"]) for e in single]
    assert extractor.sample_entities(TOY[0], TYPES, runs=2, temperature=3.0, seed=2)[0] == runs[0]


def test_sampling_that_cannot_be_is_refused(extractor):
    with pytest.raises(ValueError, match="temperature must be above 0 to sample"):
        extractor.sample_entities("alice", TYPES, temperature=0.0)
    for runs in (0, 1.5, True):
        with pytest.raises(ValueError, match="runs must be a whole number of at least 1"):
            extractor.sample_entities("alice", TYPES, runs=runs)
