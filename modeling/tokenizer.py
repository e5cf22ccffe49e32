"""Load a checkpoint's tokenizer, without torch: who only counts tokens does not wait for it."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2Tokenizer

from modeling.sources import read_json, resolve


def load_tokenizer(
    path_or_id: str | Path | None = None, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Return the fast tokenizer of a checkpoint; Dream's needs no remote code, its files are Qwen2's.

    Raises:
        OSError: no such folder or repository, or the Hub cannot be reached.
    """
    source = resolve(path_or_id)
    adapter = read_json(source, "adapter_config.json", revision)
    settings = read_json(source, "tokenizer_config.json", revision)
    if settings is None and adapter is not None:
        return load_tokenizer(adapter["base_model_name_or_path"])
    if settings is None:
        raise OSError(f"{source!r} has no tokenizer_config.json; give a checkpoint that holds its tokenizer")
    # Dream's repository names a tokenizer class of its own, in remote code.
    if str(settings.get("tokenizer_class", "")).startswith(("Dream", "Qwen2")):
        return Qwen2Tokenizer.from_pretrained(source, revision=revision or "main")
    return AutoTokenizer.from_pretrained(source, revision=revision)
