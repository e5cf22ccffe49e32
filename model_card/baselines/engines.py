"""What completes prompts: vLLM, or transformers where vLLM does not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from tqdm import tqdm

from model_card.baselines.conversation import END

MAX_NEW_TOKENS = 256  # as UniNER's own script
MAX_LENGTH = 2048  # UniNER's training length, the longest test prompt has some 500 tokens


class Engine(Protocol):
    """Completes prompts greedily."""

    name: str

    def complete(self, prompts: Sequence[str]) -> list[str]:
        """Return the continuation of each prompt, up to the end of the assistant's turn."""
        ...


class VllmEngine:
    """vLLM with prefix caching: all questions about one text share its keys and values.

    Args:
        model: Hub id or folder of a causal language model.
        eager: whether to run without CUDA graphs, which start-up otherwise takes a minute to record.
        memory: share of the GPU's memory.

    Raises:
        ImportError: vLLM is not installed.
    """

    def __init__(self, model: str, *, eager: bool = False, memory: float = 0.85) -> None:
        try:
            from vllm import LLM, SamplingParams, __version__
        except ImportError as error:
            raise ImportError(
                "vLLM is not installed: pip install -r requirements-vllm.txt on a machine with a CUDA GPU, "
                "or use --engine transformers"
            ) from error
        self.name = f"vLLM {__version__}"
        self._llm = LLM(
            model=model,
            dtype="bfloat16",
            seed=0,
            max_model_len=MAX_LENGTH,
            enable_prefix_caching=True,
            enforce_eager=eager,
            gpu_memory_utilization=memory,
        )
        self._sampling = SamplingParams(temperature=0.0, max_tokens=MAX_NEW_TOKENS, stop=[END])

    def complete(self, prompts: Sequence[str]) -> list[str]:
        """See Engine."""
        outputs = self._llm.generate(list(prompts), self._sampling, use_tqdm=False)
        return [output.outputs[0].text for output in outputs]


class TransformersEngine:
    """transformers' own greedy search in left-padded batches.

    Args:
        model: Hub id or folder of a causal language model.
        device: such as ``"cuda"``.
        batch_size: prompts at once.
    """

    def __init__(
        self, model: str, *, device: str = "cpu", batch_size: int = 8, progress: bool = True
    ) -> None:
        import transformers

        self.name = f"transformers {transformers.__version__}"
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(model, padding_side="left")
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        self._model = loaded.to(device).eval()
        self._batch_size = batch_size
        self._progress = progress

    @torch.inference_mode()
    def complete(self, prompts: Sequence[str]) -> list[str]:
        """See Engine."""
        replies: list[str] = []
        starts = range(0, len(prompts), self._batch_size)
        for at in tqdm(starts, desc="batches", disable=not self._progress, leave=False):
            batch = self._tokenizer(
                list(prompts[at : at + self._batch_size]), return_tensors="pt", padding=True
            ).to(self._model.device)
            batch.pop("token_type_ids", None)
            output = self._model.generate(
                **batch,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=self._tokenizer.pad_token_id,
            )
            fresh = output[:, batch["input_ids"].shape[1] :]
            replies += self._tokenizer.batch_decode(fresh, skip_special_tokens=True)
        return replies
