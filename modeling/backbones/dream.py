"""Dream as a native network, without remote code.

Dream-7B is ``Qwen2ForCausalLM`` with ``config.is_causal = False``: the same 339 state-dict keys, logits
equal to the official code's. So the config is converted and the weights are kept.
"""

from typing import Any

from transformers import Qwen2Config

DREAM_TYPES = ("Dream", "dream")
# Rows of Dream's padded vocabulary that no token uses: the symbols of its aligned canvas.
DREAM_OUTSIDE, DREAM_INSIDE, DREAM_FIRST_MARKER, DREAM_ROWS = 151667, 151668, 151669, 152064
# Fields of Dream's config that Qwen2 does not know or that say how remote code is found.
_DREAM_ONLY = (
    "auto_map",
    "architectures",
    "model_type",
    "mask_token_id",
    "pad_token_id",
    "transformers_version",
)


def dream_to_qwen2(config: dict[str, Any]) -> Qwen2Config:
    """Return the native config of a Dream config: Qwen2, bidirectional.

    Args:
        config: the content of Dream's ``config.json``.
    """
    kept = {key: value for key, value in config.items() if key not in _DREAM_ONLY}
    kept.setdefault("tie_word_embeddings", False)
    native = Qwen2Config(**{**kept, "pad_token_id": config.get("pad_token_id"), "is_causal": False})
    native.architectures = ["Qwen2ForCausalLM"]
    native.use_cache = True
    return native


def dream_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of DiffusionSettings that a Dream config fixes, None where it names no token.

    Args:
        config: the content of Dream's ``config.json``.
    """
    settings = {
        "mask_token_id": config.get("mask_token_id"),
        "pad_token_id": config.get("pad_token_id", config.get("eos_token_id")),
        "logits_shift": 1,
        "prompt_attention": "full",
    }
    if config.get("vocab_size", 0) >= DREAM_ROWS:
        settings |= {
            "outside_token_id": DREAM_OUTSIDE,
            "inside_token_id": DREAM_INSIDE,
            "first_marker_id": DREAM_FIRST_MARKER,
            "max_markers": DREAM_ROWS - DREAM_FIRST_MARKER,
        }
    return settings


def causal_problem(config: dict[str, Any]) -> str | None:
    """Return what is wrong with a Qwen2 config that is not Dream in its native form, None if it is."""
    if config.get("is_causal", True):
        return (
            "is a causal Qwen2 model (its config does not say is_causal: false), not Dream; "
            "give a Dream checkpoint, or set is_causal to false in config.json if it was trained so"
        )
    return None
