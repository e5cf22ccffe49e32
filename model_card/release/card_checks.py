"""What a card's head must say, so that the Hub, `datasets` and the model index understand it."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard

from model_card.release.artefact import Artefact

SPACE_COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SPACE_SDKS = {"gradio", "docker", "static"}
# What the Hub refuses, or shows cut.
SHORT_DESCRIPTION = 60


def card_problems(artefact: Artefact) -> Iterator[str]:
    """Yield what is wrong with the head of ``README.md``, with the fix."""
    card = artefact.folder / "README.md"
    if not card.is_file():
        return  # that it is missing is said elsewhere
    try:
        head = read_head(card)
    except ValueError as error:
        yield f"README.md: {error}"
        return
    if head.get("license") != artefact.kind.licence:
        yield f"README.md names the licence {head.get('license')!r}; it must be {artefact.kind.licence!r}"
    checks = {"model": _model, "dataset": _dataset, "space": _space}
    for problem in checks[artefact.kind.repo_type](artefact, head):
        yield f"README.md: {problem}"


def _model(artefact: Artefact, head: dict[str, Any]) -> Iterator[str]:
    for name in ("library_name", "pipeline_tag", "base_model", "tags"):
        if not head.get(name):
            yield f"{name} is missing"
    if head.get("library_name") != ("peft" if artefact.kind.key == "adapter" else "transformers"):
        yield f"library_name {head.get('library_name')!r} is not what loads it"
    try:
        data: Any = ModelCard((artefact.folder / "README.md").read_text(encoding="utf-8")).data
        results = data.eval_results or []
    except ValueError as error:
        yield f"its model-index cannot be read ({error})"
        return
    for result in results:
        if not isinstance(result.metric_value, int | float) or not 0 <= result.metric_value <= 1:
            place = f"{result.metric_name} of {result.dataset_name}"
            yield f"{place} is {result.metric_value!r}, not a share in [0, 1]"
    if "model-index" in head and not results:
        yield "its model-index holds no result"


def _dataset(artefact: Artefact, head: dict[str, Any]) -> Iterator[str]:
    configs = head.get("configs") or []
    if not configs:
        yield "it lists no configs, so load_dataset would guess"
    defaults = [config["config_name"] for config in configs if config.get("default")]
    if len(configs) > 1 and len(defaults) != 1:
        yield f"one configuration must be the default, not {len(defaults)}"
    unused = {name for name in artefact.files if name.endswith(".parquet")}
    for config in configs:
        for entry in config.get("data_files") or []:
            matching = {name for name in artefact.files if fnmatch(name, entry["path"])}
            unused -= matching
            if not matching:
                place = f"config {config['config_name']}, split {entry['split']}"
                yield f"{place}: no file matches {entry['path']!r}"
    for name in sorted(unused):
        yield f"no config lists {name}"
    if not head.get("task_categories") or not head.get("language"):
        yield "task_categories or language is missing"


def _space(artefact: Artefact, head: dict[str, Any]) -> Iterator[str]:
    if not head.get("title"):
        yield "title is missing"
    if head.get("sdk") not in SPACE_SDKS:
        yield f"sdk is {head.get('sdk')!r}; use one of {', '.join(sorted(SPACE_SDKS))}"
    if head.get("sdk") == "gradio":
        if not isinstance(head.get("sdk_version"), str):
            yield f"sdk_version is {head.get('sdk_version')!r}; quote the version of gradio"
        if head.get("app_file") not in artefact.files:
            yield f"app_file is {head.get('app_file')!r}, which is no file of the Space"
    for name in ("colorFrom", "colorTo"):
        if head.get(name) is not None and head[name] not in SPACE_COLOURS:
            yield f"{name} is {head[name]!r}; use one of {', '.join(sorted(SPACE_COLOURS))}"
    if len(head.get("short_description") or "") > SHORT_DESCRIPTION:
        yield f"short_description is longer than {SHORT_DESCRIPTION} characters"
    if head.get("python_version") is not None and not isinstance(head["python_version"], str):
        yield f"python_version is {head['python_version']!r}; quote it, or YAML reads 3.10 as 3.1"


def read_head(card: Path) -> dict[str, Any]:
    """Return the metadata of a card.

    Raises:
        ValueError: it has none, or it is not YAML.
    """
    parts = card.read_text(encoding="utf-8").split("---\n", 2)
    if len(parts) < 3 or parts[0]:
        raise ValueError("it does not begin with metadata between two lines of ---")
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise ValueError(f"its metadata is not YAML ({error})") from error
    if not isinstance(head, dict):
        raise ValueError("its metadata is not a mapping")
    return head
