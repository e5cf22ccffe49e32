"""A BERT-shaped masked-diffusion network whose output layer points into the prompt.

The canvas is denoised by the same encoder that reads the prompt. Instead of a vocabulary of 30,000
words, a canvas slot chooses among a few fixed symbols and the positions of the prompt: on the aligned
canvas the markers that stand before the type names, on the completion canvas the tokens to copy
(pointer networks, Vinyals et al. 2015, arXiv 1506.03134).
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, BertConfig, BertModel, BertPreTrainedModel, GenerationMixin

# token_type_ids: the letter case of prompt tokens (the vocabulary is uncased), then the two canvases, then
# the type names of a prompt of type blocks, whose letter case does not count.
CASE_LOWER, CASE_CAPITALISED, CASE_UPPER, TYPE_ALIGNED, TYPE_COMPLETION, TYPE_NAME = range(6)


class PointerBertConfig(BertConfig):
    """BertConfig with the fixed symbols of the two canvases.

    Args:
        aligned_symbols: token ids of the fixed symbols of the aligned canvas (O and I).
        completion_symbols: token ids of the fixed symbols of the completion canvas
            (``:``, ``|``, ``none`` and padding).
        canvas_word_embeddings: whether an aligned slot also receives the embedding of its word's first
            token, so that the encoder reads it as that word in its context.
    """

    model_type = "pointer_bert"

    def __init__(
        self,
        aligned_symbols: tuple[int, ...] = (),
        completion_symbols: tuple[int, ...] = (),
        canvas_word_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("is_decoder", True)  # lets BERT take past_key_values
        kwargs.setdefault("is_causal", False)  # and stay bidirectional
        kwargs.setdefault("type_vocab_size", 5)
        super().__init__(**kwargs)
        self.aligned_symbols = list(aligned_symbols)
        self.completion_symbols = list(completion_symbols)
        self.canvas_word_embeddings = canvas_word_embeddings


class PointerHead(nn.Module):
    """Scores of a canvas slot against fixed symbols and prompt positions."""

    def __init__(self, hidden_size: int, symbols: int) -> None:
        super().__init__()
        self.query = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size)
        )
        self.key = nn.Linear(hidden_size, hidden_size)
        self.symbols = nn.Parameter(torch.zeros(symbols, hidden_size))
        self.symbol_bias = nn.Parameter(torch.zeros(symbols))

    def forward(self, hidden: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        """Return fp32 logits ``[batch, slots, symbols + positions]``.

        Args:
            hidden: canvas hidden states ``[batch, slots, hidden]``.
            prompt: prompt hidden states at the positions to point to, ``[batch, positions, hidden]``.
        """
        # Products in fp32: those of a bf16 network would tie and reorder the unmasking.
        query = self.query(hidden).float()
        scale = hidden.shape[-1] ** -0.5
        fixed = query @ self.symbols.float().T * scale + self.symbol_bias.float()
        pointed = query @ self.key(prompt).float().transpose(1, 2) * scale
        return torch.cat([fixed, pointed], dim=-1)


class PointerBert(BertPreTrainedModel, GenerationMixin):
    """The encoder and its two pointer heads."""

    config_class = PointerBertConfig
    base_model_prefix = "bert"

    def __init__(self, config: PointerBertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.aligned_head = PointerHead(config.hidden_size, len(config.aligned_symbols))
        self.completion_head = PointerHead(config.hidden_size, len(config.completion_symbols))
        self.post_init()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the encoder's output; the heads need prompt and canvas apart (see ``source_logits``)."""
        return self.bert(*args, **kwargs)

    def type_embeddings(
        self, prompt_ids: torch.Tensor, blocks: torch.Tensor, markers: torch.Tensor
    ) -> torch.Tensor:
        """Return one vector for each type block, ``[batch, types, hidden]``: of its marker and its name.

        It is the marker's input embedding plus the mean of those of the name's tokens.

        Args:
            prompt_ids: ``[batch, length]``.
            blocks: the number of each token's block, from 1; 0 outside, ``[batch, length]``.
            markers: the index of each block's marker, -1 where a row has no such block, ``[batch, types]``.
        """
        table = self.bert.embeddings.word_embeddings
        number = torch.arange(markers.shape[1], device=blocks.device)[None, :, None] + 1
        index = torch.arange(blocks.shape[1], device=blocks.device)
        name = (blocks[:, None] == number) & (index != markers[:, :, None])
        embedded = table(prompt_ids)
        share = name.to(embedded.dtype) / name.sum(-1, keepdim=True).clamp(min=1)
        return share @ embedded + table(prompt_ids.gather(1, markers.clamp(min=0)))

    def canvas_embeddings(
        self,
        canvas_ids: torch.Tensor,
        word_ids: torch.Tensor | None,
        types: torch.Tensor | None = None,
        type_numbers: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the input embeddings ``[batch, slots, hidden]`` of canvas symbols.

        Args:
            canvas_ids: symbols ``[batch, slots]``.
            word_ids: for the aligned canvas, the first token of each slot's word, same shape.
            types: the embeddings of markers that are embedded by their types, ``[batch, types, hidden]``.
            type_numbers: which of those each symbol is; outside [0, types) none, ``[batch, slots]``.
        """
        table = self.bert.embeddings.word_embeddings
        embedded = table(canvas_ids)
        if types is not None and type_numbers is not None:
            count = types.shape[1]
            own = types.gather(1, type_numbers.clamp(0, count - 1)[..., None].expand(-1, -1, types.shape[-1]))
            marked = (type_numbers >= 0) & (type_numbers < count)
            embedded = torch.where(marked[..., None], own.to(embedded.dtype), embedded)
        if word_ids is not None and self.config.canvas_word_embeddings:
            embedded = embedded + table(word_ids)
        return embedded

    def source_ids(self, canvas: str, prompt_ids: torch.Tensor) -> torch.Tensor:
        """Return the token id ``[batch, sources]`` that each output of ``source_logits`` stands for."""
        fixed = self._symbols(canvas).to(prompt_ids.device)
        return torch.cat([fixed.expand(len(prompt_ids), -1), prompt_ids], dim=1)

    def source_logits(
        self, canvas: str, hidden: torch.Tensor, prompt: torch.Tensor, allowed: torch.Tensor
    ) -> torch.Tensor:
        """Return logits ``[batch, slots, symbols + positions]``, -inf at positions not ``allowed``.

        Args:
            canvas: ``"aligned"`` or ``"completion"``.
            hidden: canvas hidden states ``[batch, slots, hidden]``.
            prompt: prompt hidden states ``[batch, positions, hidden]``.
            allowed: prompt positions that may be pointed to, bool ``[batch, positions]``.
        """
        head = self.aligned_head if canvas == "aligned" else self.completion_head
        logits = head(hidden, prompt)
        fixed = torch.ones_like(allowed[:, :1]).expand(-1, logits.shape[-1] - prompt.shape[1])
        permitted = torch.cat([fixed, allowed], dim=1)
        return logits.float().masked_fill(~permitted[:, None, :], float("-inf"))

    def _symbols(self, canvas: str) -> torch.Tensor:
        ids = self.config.aligned_symbols if canvas == "aligned" else self.config.completion_symbols
        return torch.tensor([ids])


# A published copy of this file may be imported beside it.
AutoConfig.register(PointerBertConfig.model_type, PointerBertConfig, exist_ok=True)
