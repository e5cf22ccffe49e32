"""A task so small that its loss can be written out: four tokens, five symbols, a fixed tiny network."""

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from modeling.custom_generate.network import Canvas, Prompt
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.batch import CanvasTargets, TrainingBatch

TOKENS, SYMBOLS = 4, 5
PAD, MASK, PROMPT = 0, SYMBOLS, (SYMBOLS + 1, SYMBOLS + 2)
# Answers of unlike length and order, padded with symbol 0.
ANSWERS = ((1, 2, 3, 4), (2, 2, 1, 0), (4, 3, 0, 0), (3, 1, 4, 0), (1, 0, 0, 0), (4, 4, 4, 4), (2, 3, 2, 3))

SHAPE = {
    "vocab_size": SYMBOLS + 1 + len(PROMPT),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "initializer_range": 0.4,
    "is_causal": False,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
}


def toy_network(prompt_attention: str = "full") -> Qwen2ForCausalLM:
    """Return a network of Dream's shape with one layer and random weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = Qwen2ForCausalLM(Qwen2Config.from_dict(SHAPE)).eval()
    settings = DiffusionSettings(
        mask_token_id=MASK, pad_token_id=PAD, logits_shift=1, prompt_attention=prompt_attention
    )
    settings.apply(model)
    return model


def toy_batch(answers: torch.Tensor | None = None) -> TrainingBatch:
    """Return answers ``[batch, 4]`` behind a prompt of two tokens; default one row of each of ``ANSWERS``."""
    ids = torch.tensor(ANSWERS) if answers is None else answers
    prompt_ids = torch.tensor(PROMPT).repeat(len(ids), 1)
    length = prompt_ids.shape[1]
    prompt = Prompt(prompt_ids, torch.ones_like(prompt_ids), torch.arange(length).repeat(len(ids), 1))
    positions = torch.arange(length, length + ids.shape[1]).repeat(len(ids), 1)
    canvas = Canvas("completion", positions, torch.ones_like(ids, dtype=torch.bool))
    return TrainingBatch(prompt, [CanvasTargets(canvas, ids)])
