"""A model written as a folder that loads by itself, and pushed to the Hub. No file is a pickle."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from huggingface_hub import HfApi
from transformers import PreTrainedTokenizerBase

GENERATION = Path(__file__).resolve().parents[1] / "custom_generate"


def write_model(
    model: Any,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    state_dict: Mapping[str, torch.Tensor] | None = None,
    max_shard_size: str = "5GB",
    adapter_dtype: torch.dtype | None = None,
) -> None:
    """Write a folder that loads by itself: weights, diffusion settings, tokenizer, the denoising loop.

    An adapter is written alone. No file is a pickle.

    Args:
        model: a transformers model or a PEFT one.
        tokenizer: the model's; None writes none.
        folder: made if missing.
        state_dict: the weights, if the model's own are spread over processes.
        max_shard_size: the most bytes of one weight file.
        adapter_dtype: in which an adapter's weights are stored; default as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {}
    if is_adapted(model):
        # The vocabulary never changes here, and peft would ask the Hub whether it did.
        options["save_embedding_layers"] = False
        if adapter_dtype is not None:
            weights = trained_weights(model) if state_dict is None else state_dict
            state_dict = {name: weight.to(adapter_dtype) for name, weight in weights.items()}
    else:
        options["max_shard_size"] = max_shard_size
    model.save_pretrained(folder, state_dict=state_dict, **options)
    model.generation_config.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    write_generation(folder)


def write_generation(folder: Path) -> None:
    """Put the denoising loop where transformers looks for it in a checkpoint."""
    shutil.copytree(
        GENERATION,
        folder / "custom_generate",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )


def push_model(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Upload what ``write_model`` writes to a model repository, made if missing; return the commit's address.

    The token is that of the environment (``HF_TOKEN``) or of ``hf auth login``.

    Args:
        repo_id: ``"organisation/name"``.
        private: of a repository made here; default: as the account has it.
        revision: branch to commit to, which exists; default: the main one.
        commit_message: default: "Upload model".

    Raises:
        huggingface_hub.errors.HfHubHTTPError: the Hub refuses, for example without a token.
        OSError: it cannot be reached.
    """
    api = HfApi()
    with TemporaryDirectory() as folder:
        write_model(model, tokenizer, Path(folder))
        api.create_repo(repo_id, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            commit_message=commit_message or "Upload model",
        )
    return str(done.commit_url)


def is_adapted(model: Any) -> bool:
    """Return whether it is a PEFT model, which wraps its base."""
    return hasattr(model, "get_base_model")


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights that training changes, by their names in the state dict."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
