"""A new pointer network from a BERT encoder."""

from __future__ import annotations

import pytest
import torch
from transformers import BertModel, BertTokenizer

from modeling.backbones.pointer_bert import CASE_LOWER, TYPE_COMPLETION
from modeling.backbones.pointer_init import MARKERS, pointer_from_encoder, pointer_settings
from modeling.training.queries import QuerySampler
from tests.modeling.tiny import save_encoder, tiny_dream


def test_the_encoder_is_kept_and_the_heads_are_new(tokenizer, tmp_path):
    folder = save_encoder(tmp_path, tokenizer)
    encoder = BertModel.from_pretrained(folder, add_pooling_layer=False)
    pointer = pointer_from_encoder(folder, tokenizer)
    kept = pointer.bert.state_dict()
    for name, weight in encoder.state_dict().items():
        if "token_type" not in name:
            assert torch.equal(kept[name], weight), name
    # Every token type starts as the encoder's first, so that it reads as it was trained to.
    types = pointer.bert.embeddings.token_type_embeddings.weight
    assert types.shape[0] == TYPE_COMPLETION + 1
    first = encoder.embeddings.token_type_embeddings.weight[CASE_LOWER]
    assert all(torch.equal(row, first) for row in types)
    assert pointer.config.is_causal is False
    assert pointer.dtype == torch.float32


def test_its_symbols_are_tokens_that_no_text_uses(tokenizer):
    settings = pointer_settings(tokenizer)
    ids = [settings.outside_token_id, settings.inside_token_id, *settings.marker_ids(settings.max_markers)]
    assert len(set(ids)) == len(ids) == 60
    assert all(token.startswith("[unused") for token in tokenizer.convert_ids_to_tokens(ids))
    assert settings.max_markers >= MARKERS
    assert settings.mask_token_id == tokenizer.mask_token_id
    # A training query never asks for more types than every such vocabulary has markers.
    assert QuerySampler().max_types <= MARKERS


def vocabulary(unused: list[int]) -> BertTokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", "|", "none"]
    for i in range(max(unused) + 1):
        pieces.append(f"[unused{i}]" if i in unused else f"word{i}")
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})


def test_the_longest_row_of_unused_tokens_is_taken():
    settings = pointer_settings(vocabulary([*range(5), *range(6, 60)]))
    assert settings.max_markers == 52
    assert settings.outside_token_id == 8 + 6


def test_a_vocabulary_of_too_few_unused_tokens_is_refused():
    with pytest.raises(
        ValueError, match=r"has 41 unused tokens .*in a row, but needs 42: O, I and 40 type markers"
    ):
        pointer_settings(vocabulary([*range(41), *range(42, 60)]))


def test_a_tokenizer_without_a_mask_is_refused(tokenizer):
    bare = BertTokenizer(vocab=tokenizer.get_vocab())
    bare.mask_token = None
    with pytest.raises(ValueError, match="the tokenizer needs a mask and a padding token"):
        pointer_settings(bare)


def test_only_bert_can_be_made_a_pointer_network(tokenizer, tmp_path):
    tiny_dream(tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has model_type 'qwen2'; a pointer network starts from 'bert'"):
        pointer_from_encoder(tmp_path, tokenizer)
