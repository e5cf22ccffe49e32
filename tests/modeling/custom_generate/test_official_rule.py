"""The official Dream rule written out, against the loop, where the mask token is a symbol like any other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modeling.custom_generate.generate import generate
from modeling.custom_generate.unmasking import DREAM_LAST_TIME, RULES
from tests.modeling.custom_generate.test_generate import ABSORBING
from tests.modeling.tiny import tiny_dream

PROMPT = torch.tensor([[75, 86, 97, 108, 119, 130]])
SLOTS = 14


def official(model: Any, slots: int, steps: int, algorithm: str) -> list[list[int]]:
    """Return the canvas after each step of Dream's own generation at temperature 0, one prompt alone.

    Each step takes the best symbol of every masked slot and how sure it is, and writes the surest
    ``int(masked * (1 - s / t))`` of them, in the last step all. Where the symbol is the mask, that leaves the
    slot as it was.
    """
    ids = [*PROMPT[0].tolist(), *[ABSORBING] * slots]
    times = torch.linspace(1, DREAM_LAST_TIME, steps + 1)
    canvases = []
    for step in range(steps):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        masked = [place for place, token in enumerate(ids) if token == ABSORBING]
        count = int(len(masked) * (1 - times[step + 1] / times[step])) if step < steps - 1 else len(masked)
        sure = {}
        for place in masked:
            probs = logits[place - 1].softmax(-1)  # shifted: predicted from the place before
            first, second = probs.topk(2).values.tolist()
            spread = float((probs * probs.clamp(min=1e-10).log()).sum())
            score = {"maskgit_plus": first, "topk_margin": first - second, "entropy": spread}[algorithm]
            sure[place] = (score, int(probs.argmax()))
        for place in sorted(masked, key=lambda p: -sure[p][0])[:count]:
            ids[place] = sure[place][1]
        canvases.append(ids[-slots:])
    return canvases


def favouring(tokenizer: Any, seed: int) -> Any:
    """Return a random network for which the mask is often the best symbol."""
    model = tiny_dream(tokenizer)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.2, generator=generator)
    # A mask that looks at masks sees itself: its output row leans towards the states of a blank canvas.
    blank = torch.tensor([[*PROMPT[0].tolist(), *[ABSORBING] * SLOTS]])
    with torch.no_grad():
        states = model.model(input_ids=blank).last_hidden_state[0, -SLOTS:]
        model.lm_head.weight[ABSORBING] = 0.6 * states[:: 3 + seed % 3].mean(0)
    return model


@torch.no_grad()
@pytest.mark.parametrize("algorithm", ["maskgit_plus", "topk_margin", "entropy"])
def test_a_slot_that_would_show_the_mask_stays_open_as_in_the_official_code(tokenizer, algorithm):
    assert algorithm in RULES["algorithm"]
    late = left = 0
    for seed in range(6):
        model = favouring(tokenizer, seed)
        for steps in (1, 3, 8):
            expected = official(model, SLOTS, steps, algorithm)
            output = generate(
                PROMPT,
                model=model,
                max_new_tokens=SLOTS,
                steps=steps,
                schedule="dream",
                algorithm=algorithm,
                output_history=True,
                return_dict_in_generate=True,
            )
            assert output.history[:, 0, PROMPT.shape[1] :].tolist() == expected
            masks = [canvas.count(ABSORBING) for canvas in expected]
            times = torch.linspace(1, DREAM_LAST_TIME, steps + 1)
            due = int(SLOTS * (1 - times[1] / times[0])) if steps > 1 else SLOTS
            late += steps > 1 and masks[0] > SLOTS - due  # some were chosen in the first step, and stayed
            left += masks[-1] > 0
    # The networks do what the test is about.
    assert late > 0
    assert left > 0


@torch.no_grad()
def test_the_last_of_uniform_steps_writes_no_mask(tokenizer):
    open_ = 0
    for seed in range(6):
        model = favouring(tokenizer, seed)
        for steps in (1, 3, 8):
            output = generate(
                PROMPT,
                model=model,
                max_new_tokens=SLOTS,
                steps=steps,
                output_history=True,
                return_dict_in_generate=True,
            )
            history = output.history[:, 0, PROMPT.shape[1] :] == ABSORBING
            assert not history[-1].any()
            assert (output.confidence > 0).all()
            if steps > 1:
                open_ += int(history[0].sum()) > SLOTS - -(-SLOTS // steps)
    assert open_ > 0
