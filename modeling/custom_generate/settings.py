"""What a checkpoint says about its diffusion: kept in ``model.generation_config``, read from there."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

PROMPT_ATTENTION = ("full", "isolated")
CANVASES = ("completion", "aligned")
TYPE_ATTENTION = ("joint", "text", "own")
# The least value of each whole number among the settings.
_LEAST = {
    "mask_token_id": 0,
    "pad_token_id": 0,
    "outside_token_id": -1,
    "inside_token_id": -1,
    "first_marker_id": -1,
    "max_markers": 0,
    "newline_token_id": -1,
    "tab_token_id": -1,
}


@dataclass(frozen=True)
class DiffusionSettings:
    """The diffusion settings of one checkpoint.

    Args:
        mask_token_id: id of the absorbing state.
        pad_token_id: id that fills the completion canvas behind the answer (Dream: end of text).
        logits_shift: 1 if token i is predicted from hidden state i - 1 (Dream), 0 for a masked LM.
            It concerns the completion canvas; aligned slots are not a continuation and never shifted.
        prompt_attention: ``"full"`` (the prompt sees the canvas, as in Dream's own training) or
            ``"isolated"`` (it does not, so its keys and values can be cached exactly).
        canvas: the canvas that the extractor uses by default.
        prompt_markers: whether a marker token stands before each type name in the prompt.
        outside_token_id: symbol O of the aligned canvas; -1 if the checkpoint has no aligned canvas.
        inside_token_id: symbol I of the aligned canvas.
        first_marker_id: id of the marker of the first queried type; the others follow it.
        max_markers: how many markers there are, and so how many types one prompt can ask for.
        type_attention: ``"joint"`` (the types of a prompt are one list of numbered markers and names that see
            each other, as in Dream's prompt), ``"text"`` (each type is a block that sees itself and the text,
            never another type) or ``"own"`` (each block sees itself alone). Under the last two, the order of
            the types changes nothing (see ``canvas.encoding``).
        newline_token_id: id of the token that stands for a line break between two words of the text; -1 if
            the checkpoint has none. It and the next one need ``type_attention`` ``"text"`` or ``"own"``.
        tab_token_id: id of the token that stands for a tab; -1 if the checkpoint has none.
        outside_bias: added to the logit of O; chosen on development data, moves precision against recall.
        aligned_score_temperature: divides the log-odds of a score on the aligned canvas, so that among
            entities of score p about the share p is right; fitted on development data, 1 changes nothing.
        completion_score_temperature: the same on the completion canvas.
    """

    mask_token_id: int
    pad_token_id: int
    logits_shift: int = 1
    prompt_attention: str = "full"
    canvas: str = "completion"
    prompt_markers: bool = False
    outside_token_id: int = -1
    inside_token_id: int = -1
    first_marker_id: int = -1
    max_markers: int = 0
    type_attention: str = "joint"
    newline_token_id: int = -1
    tab_token_id: int = -1
    outside_bias: float = 0.0
    aligned_score_temperature: float = 1.0
    completion_score_temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.logits_shift not in (0, 1):
            raise ValueError(f"logits_shift must be 0 or 1, got {self.logits_shift!r}")
        if self.prompt_attention not in PROMPT_ATTENTION:
            raise ValueError(
                f"prompt_attention must be one of {PROMPT_ATTENTION}, got {self.prompt_attention!r}"
            )
        if self.canvas not in CANVASES:
            raise ValueError(f"canvas must be one of {CANVASES}, got {self.canvas!r}")
        if self.type_attention not in TYPE_ATTENTION:
            raise ValueError(f"type_attention must be one of {TYPE_ATTENTION}, got {self.type_attention!r}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r:.80}")
        if self.canvas == "aligned" and self.outside_token_id < 0:
            raise ValueError("canvas='aligned' needs outside_token_id, inside_token_id and first_marker_id")
        if self.has_aligned and self.inside_token_id < 0:
            raise ValueError(f"an aligned canvas needs inside_token_id, got {self.inside_token_id}")
        if (self.has_aligned or self.prompt_markers) and (self.max_markers < 1 or self.first_marker_id < 0):
            raise ValueError(
                "an aligned canvas and prompt_markers need a first_marker_id and max_markers of at least 1, "
                f"got {self.first_marker_id} and {self.max_markers}"
            )
        if self.type_blocks and not (self.prompt_markers and self.prompt_attention == "isolated"):
            raise ValueError(
                f"type_attention={self.type_attention!r} needs prompt_markers and "
                "prompt_attention='isolated' (a prompt that sees the canvas passes one type on to another); "
                "use type_attention='joint' otherwise"
            )
        if not self.type_blocks and max(self.newline_token_id, self.tab_token_id) >= 0:
            raise ValueError(
                "newline_token_id and tab_token_id need type_attention='text' or 'own', got 'joint'; "
                "set both to -1"
            )
        for name in ("outside_bias", "aligned_score_temperature", "completion_score_temperature"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or (value <= 0 and name != "outside_bias"):
                above = "" if name == "outside_bias" else " above 0"
                raise ValueError(f"{name} must be a finite number{above}, got {value!r}")

    @classmethod
    def of(cls, model: Any) -> "DiffusionSettings":
        """Read the settings from ``model.generation_config``.

        Raises:
            ValueError: the checkpoint names no mask token.
        """
        config = model.generation_config
        if getattr(config, "mask_token_id", None) is None:
            raise ValueError(
                "this model's generation_config has no mask_token_id, so it is not a masked-diffusion model; "
                "load it with modeling.load_model, or set model.generation_config.mask_token_id"
            )
        given = {
            f.name: getattr(config, f.name) for f in fields(cls) if getattr(config, f.name, None) is not None
        }
        return cls(**given)

    def apply(self, model: Any) -> None:
        """Write the settings into ``model.generation_config``, where ``save_pretrained`` keeps them."""
        for name, value in asdict(self).items():
            setattr(model.generation_config, name, value)

    def calibrated(self, canvas: str, score: float) -> float:
        """Return a score in [0, 1] with its log-odds divided by the canvas's temperature.

        Temperature scaling (Guo et al. 2017, arXiv 1706.04599) of one probability; it keeps the order.

        Args:
            canvas: ``"aligned"`` or ``"completion"``.
            score: in [0, 1].
        """
        temperature = self.aligned_score_temperature
        if canvas == "completion":
            temperature = self.completion_score_temperature
        if temperature == 1 or not 0 < score < 1:
            return score
        odds = (math.log(score) - math.log1p(-score)) / temperature
        # Of the two forms, the one whose exponential cannot overflow.
        return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))

    def check_vocabulary(self, rows: int) -> None:
        """Check that a network has an embedding for each symbol named here.

        Args:
            rows: of the network's embeddings.

        Raises:
            ValueError: it has not.
        """
        last = {name: getattr(self, name) for name in _LEAST if name.endswith("_token_id")}
        last["first_marker_id + max_markers - 1"] = self.first_marker_id + self.max_markers - 1
        for name, token in last.items():
            if token >= rows:
                raise ValueError(
                    f"{name} is {token}, but the network has {rows} embeddings: "
                    "the settings are another model's; download both again"
                )

    @property
    def has_aligned(self) -> bool:
        """Whether the checkpoint names symbols for the aligned canvas."""
        return self.outside_token_id >= 0

    @property
    def type_blocks(self) -> bool:
        """Whether each type of a prompt is a block of its own, so that their order changes nothing."""
        return self.type_attention != "joint"

    def marker_ids(self, count: int) -> list[int]:
        """Return the ids of the markers of the first ``count`` types, as the aligned canvas numbers them.

        In a prompt of type blocks, the first one stands before every name.

        Raises:
            ValueError: one prompt cannot ask for so many types.
        """
        if count > self.max_markers:
            raise ValueError(
                f"{count} types in one prompt, but this checkpoint has {self.max_markers} markers; "
                "ask for fewer at a time (EntityExtractor splits long lists by itself)"
            )
        return list(range(self.first_marker_id, self.first_marker_id + count))
