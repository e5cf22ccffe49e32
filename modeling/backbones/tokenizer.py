"""Load a checkpoint's tokenizer, without torch: who only counts tokens does not wait for it."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2Tokenizer

from .sources import base_of, file_of, read_json, resolve

# Any of these holds a vocabulary; without one transformers makes a tokenizer that knows nothing, silently.
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")


def load_tokenizer(
    path_or_id: str | Path | None = None, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Return the fast tokenizer of a checkpoint; Dream's needs no remote code, its files are Qwen2's.

    Raises:
        OSError: no such folder or repository, no tokenizer in it, or the Hub cannot be reached.
        ValueError: its files are broken, or it is code that only its repository has.
    """
    source = resolve(path_or_id)
    adapter = read_json(source, "adapter_config.json", revision)
    settings = read_json(source, "tokenizer_config.json", revision)
    if settings is None and adapter is not None:
        return load_tokenizer(base_of(source, adapter), adapter.get("revision"))
    if settings is None:
        raise OSError(f"{source!r} has no tokenizer_config.json; give a checkpoint that holds its tokenizer")
    if all(file_of(source, name, revision) is None for name in VOCABULARIES):
        raise OSError(
            f"{source!r} has a tokenizer_config.json but no vocabulary (tokenizer.json); download it again"
        )
    # Dream's repository names a tokenizer class of its own, in remote code.
    dream = str(settings.get("tokenizer_class", "")).startswith(("Dream", "Qwen2"))
    try:
        if dream:
            return Qwen2Tokenizer.from_pretrained(source, revision=revision or "main")
        # Not left to transformers' question at the terminal: no code of a repository runs here.
        return AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    except OSError:
        raise
    except Exception as error:  # the files may hold anything, and each part fails in its own way
        if settings.get("auto_map"):
            raise ValueError(
                f"tokenizer_config.json of {source!r} names code of its own (auto_map), which is not run; "
                "give a checkpoint with a tokenizer of transformers"
            ) from error
        what = " ".join(str(error).split())
        raise ValueError(
            f"the tokenizer of {source!r} cannot be loaded ({type(error).__name__}: {what:.200}); "
            "download it again"
        ) from error
