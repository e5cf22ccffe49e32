"""Which engine runs a model: the packed one where it can, or the plain path."""

from typing import Any

from ..custom_generate.engine import attach_engine, unsupported

ENGINES = ("packed", "plain")


def with_engine(model: Any, engine: str | None) -> Any:
    """Return the model with its engine.

    Args:
        model: as ``load_model`` returns it. An adapter that is to run packed is merged into its base, whose
            weights it changes.
        engine: ``"packed"``, ``"plain"``, or None: packed on a GPU if the model has Dream's shape.

    Raises:
        ValueError: ``engine`` is unknown, or ``"packed"`` for a model that cannot run so.
    """
    if engine is not None and engine not in ENGINES:
        raise ValueError(f"engine must be None or one of {ENGINES}, got {engine!r}")
    if engine == "plain":
        return model
    adapted = hasattr(model, "merge_and_unload")
    core = model.get_base_model() if adapted else model
    if engine is None and (core.device.type != "cuda" or core.config.model_type != "qwen2"):
        return model
    if adapted:
        model = model.merge_and_unload()
    if engine == "packed" or unsupported(model) is None:
        attach_engine(model)
    return model
