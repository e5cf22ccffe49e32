"""Make a new pointer network from a BERT-shaped encoder, ready to be trained."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase

from ..custom_generate.settings import DiffusionSettings
from .pointer_bert import PointerBert, PointerBertConfig

TOKEN_TYPES = 5  # three letter cases and two canvases
MARKERS = 40  # the types that a training query may ask for at once, at least


def pointer_from_encoder(
    source: str | Path, tokenizer: PreTrainedTokenizerBase, canvas_word_embeddings: bool = True
) -> PointerBert:
    """Return a PointerBert whose encoder is that of ``source`` and whose heads are new.

    The rows of unused tokens (``[unused0]``, ...) become the symbols O and I and the type markers.

    Args:
        source: a folder or Hub id of a BERT encoder (safetensors).
        tokenizer: its tokenizer.
        canvas_word_embeddings: see PointerBertConfig.

    Raises:
        ValueError: the encoder is not BERT, or its vocabulary has no mask token or too few unused tokens.
    """
    config = BertConfig.from_pretrained(source)
    if config.model_type != "bert":
        raise ValueError(
            f"{source!r} has model_type {config.model_type!r}; a pointer network starts from 'bert'"
        )
    settings = pointer_settings(tokenizer)
    vocabulary = tokenizer.get_vocab()
    symbols = [vocabulary[sign] for sign in (":", "|", "none")]
    values = config.to_dict()
    for name in ("architectures", "model_type", "type_vocab_size", "is_decoder", "is_causal", "dtype"):
        values.pop(name, None)
    native = PointerBertConfig(
        **values,
        type_vocab_size=TOKEN_TYPES,
        aligned_symbols=(settings.outside_token_id, settings.inside_token_id),
        completion_symbols=(*symbols, settings.pad_token_id),
        canvas_word_embeddings=canvas_word_embeddings,
    )
    model = PointerBert(native).float()
    encoder = BertModel.from_pretrained(
        source, add_pooling_layer=False, use_safetensors=True, dtype=torch.float32
    )
    weights = encoder.state_dict()
    types = "embeddings.token_type_embeddings.weight"
    weights[types] = weights[types][:1].repeat(TOKEN_TYPES, 1)
    missing, unexpected = model.bert.load_state_dict(weights, strict=False)
    if missing or unexpected:
        raise ValueError(f"{source!r} does not fit: missing {missing[:3]}, unexpected {unexpected[:3]}")
    with torch.no_grad():
        for head in (model.aligned_head, model.completion_head):
            torch.nn.init.normal_(head.symbols, std=native.initializer_range)
    settings.apply(model)
    return model


def pointer_settings(tokenizer: PreTrainedTokenizerBase) -> DiffusionSettings:
    """Return the diffusion settings of a pointer network with this tokenizer.

    Raises:
        ValueError: no mask token, or too few unused tokens in a row for symbols and markers.
    """
    if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
        raise ValueError("the tokenizer needs a mask and a padding token")
    unused = sorted(i for token, i in tokenizer.get_vocab().items() if token.startswith("[unused"))
    runs: list[list[int]] = []
    for index in unused:
        if runs and runs[-1][-1] + 1 == index:
            runs[-1].append(index)
        else:
            runs.append([index])
    longest = max(runs, key=len, default=[])
    if len(longest) < 2 + MARKERS:
        raise ValueError(
            f"the vocabulary has {len(longest)} unused tokens ([unused0], ...) in a row, but needs "
            f"{2 + MARKERS}: O, I and {MARKERS} type markers; start from an encoder with BERT's vocabulary"
        )
    outside, inside, *markers = longest
    return DiffusionSettings(
        mask_token_id=tokenizer.mask_token_id,
        pad_token_id=tokenizer.pad_token_id,
        logits_shift=0,
        prompt_attention="isolated",
        canvas="aligned",
        prompt_markers=True,
        outside_token_id=outside,
        inside_token_id=inside,
        first_marker_id=markers[0],
        max_markers=len(markers),
    )
