"""How a canvas is denoised: every option of the decoding, with its default, its range and where it applies.

This is the only place that declares them: ``generate``, the extractor, the commands and the experiments all
make a ``DecodingConfig`` of what their callers say, and None always means "not said".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from .settings import CANVASES
from .unmasking import MODES, RULES

GROUNDED, PLAIN = "grounded", "plain"
DECODINGS = (PLAIN, GROUNDED)
COMPLETION = (GROUNDED, PLAIN)  # the modes of the completion canvas

# Defaults that depend on the canvas, all chosen on CrossNER dev.
DEFAULT_STEPS = {"aligned": 1, "completion": 8}
ADAPTIVE_STEPS = {"aligned": 4, "completion": 8}  # the most steps under an adaptive rule
DEFAULT_ADAPTIVE = "entropy"  # what adaptive=True means
SAMPLING_TEMPERATURE = 1.0  # of a call that asks for samples, and gives no temperature of its own
ENTROPY_BOUND = {"aligned": 8.0, "completion": 2.0}

_NEEDED = {
    "aligned": "canvas='aligned'",
    GROUNDED: "canvas='completion' and decoding='grounded'",
    PLAIN: "canvas='completion' and decoding='plain'",
}


def _needed(modes: tuple[str, ...]) -> str:
    """Return what a call must say to have one of these modes."""
    return "canvas='completion'" if modes == COMPLETION else " or ".join(_NEEDED[mode] for mode in modes)


@dataclass(frozen=True)
class Option:
    """What one option of a config says of itself.

    Args:
        default: of an option that applies and was not given: a value, or a function of the config.
        modes: where the option has an effect, of ``unmasking.MODES``.
        why: why it has none elsewhere, for the error message.
        off: its value where it does not apply; naming that value is no error, for it says the truth.
        check: raises a ValueError for ``(name, value)`` if the value is out of range.
        needs: what another option must be for this one to have an effect: a function of the config that
            returns None, or ``(what is needed, why)``. It may read options that stand before this one.
    """

    default: Any
    modes: tuple[str, ...]
    why: str
    off: Any
    check: Callable[[str, Any], Any]
    needs: Callable[[Any], tuple[str, str] | None]


def option(
    default: Any,
    check: Callable[[str, Any], Any],
    *,
    modes: tuple[str, ...],
    why: str = "",
    off: Any = None,
    needs: Callable[[Any], tuple[str, str] | None] = lambda config: None,
) -> Any:
    """Return a dataclass field of a config; see Option. Every field of a config is made here."""
    return field(default=None, metadata={"option": Option(default, modes, why, off, check, needs)})


def positive(name: str, value: Any) -> int:
    """Return a whole number of at least 1.

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def switch(name: str, value: Any) -> None:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def number(name: str, value: Any) -> None:
    """Check a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def not_negative(name: str, value: Any) -> None:
    """Check a finite number of at least 0."""
    number(name, value)
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value!r}")


def share(name: str, value: Any) -> None:
    """Check a number in (0, 1]."""
    number(name, value)
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {value!r}")


def whole_64(name: str, value: Any) -> None:
    """Check a whole number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} must fit into 64 bits, got a number of {value.bit_length()} bits")


def known_rule(name: str, value: Any) -> None:
    """Check the name of a rule in ``unmasking.RULES``."""
    if not isinstance(value, str) or value not in RULES[name]:
        none = "None or " if name == "adaptive" else ""
        raise ValueError(f"{name} must be {none}one of {tuple(RULES[name])}, got {value!r}")


def anything(name: str, value: Any) -> None:
    """Check nothing: whoever uses the value does."""


def _of_rule(name: str) -> Callable[[Any], tuple[str, str] | None]:
    """Return the need of an option that only some adaptive rules read."""

    def needs(config: Any) -> tuple[str, str] | None:
        readers = [rule for rule, entry in RULES["adaptive"].items() if name in entry.uses]
        if config.adaptive in readers:
            return None
        return " or ".join(f"adaptive={rule!r}" for rule in readers), "nothing else reads it"

    return needs


def _ranks(config: Any) -> tuple[str, str] | None:
    if config.temperature > 0:
        return "temperature=0", "a drawn symbol is ranked by its own probability"
    if config.adaptive is not None and RULES["adaptive"][config.adaptive].by_probability:
        return f"adaptive other than {config.adaptive!r}", "that rule ranks by the symbol's probability"
    return None


def _samples(config: Any) -> tuple[str, str] | None:
    return None if config.temperature > 0 else ("a temperature above 0", "only sampling draws numbers")


def _returns(config: Any) -> tuple[str, str] | None:
    return None if config.steps > 1 else ("steps of at least 2", "one step reveals everything")


@dataclass(frozen=True)
class DecodingConfig:
    """How a canvas is denoised.

    None is an option that was not given. After construction every option that applies has its value, and one
    that does not apply has the value that says so (None, False or 0).

    Args:
        canvas: ``"completion"`` or ``"aligned"``.
        decoding: ``"grounded"``, the default: a canvas holds only what is valid for its text; or ``"plain"``
            (completion canvas only): whatever the network likes best.
        steps: network forwards over the canvas, at least 1; with an adaptive rule, the most of them. A canvas
            with fewer slots takes no more than it has. Default: 1 on the aligned canvas, 8 on the
            completion canvas; with an adaptive rule 4 and 8.
        schedule: how many slots a step reveals: ``"uniform"``, the default, or ``"dream"``, the official
            code's counts; see ``unmasking.RULES``, as for the two options below.
        adaptive: None, the default, or what lets a step reveal more than that: ``"threshold"`` every slot
            whose symbol is probable enough, ``"entropy"`` as many as an entropy bound allows; True is
            ``"entropy"``. On the aligned canvas a row is also done when a step leaves its best tagging as
            it was.
        temperature: of the sampling, at least 0; 0, the default, takes the best symbol.
        algorithm: what makes a slot of a plain completion sure: ``"maskgit_plus"``, the default,
            ``"topk_margin"`` or ``"entropy"``. Elsewhere it is the probability of the chosen symbol.
        confidence_threshold: of ``adaptive="threshold"``, in (0, 1]; default 0.7.
        entropy_bound: of ``adaptive="entropy"``, in nats, at least 0; default 8 on the aligned canvas, 2 on
            the completion canvas.
        fit_canvas: whether the first step cuts a completion canvas to its answer (see
            ``state.fitted_slots``); default: with grounded decoding.
        compact: whether rows that are done leave the batch; it changes no answer. Default: True.
        pad_penalty: taken off the logit of padding at the first of T steps, at least 0; step t of 0 .. T - 1
            takes off the share (T - t) / T of it. It keeps an early step from declaring the answer finished.
            Completion canvas only; default 0. The official code has none either; 5 is a usual value for a
            network that was not tuned.
        remasking: whether revealed slots of low confidence are masked again (ReMDM); default: False.
        seed: of the sampling, 64 bits; default: drawn.
        outside_bias: added to the logit of O (aligned canvas only); None is what the checkpoint says.
        use_cache: whether an isolated prompt is encoded once (the answer is the same), the default;
            ``"approximate"`` also keeps a prompt with full attention from the first step on (the answer is
            not the same).

    Raises:
        ValueError: an option is out of its range, or cannot be used with the canvas, the decoding or another
            option; the message names it, says why, and what to do.
    """

    canvas: str
    decoding: str = None  # type: ignore[assignment]  # filled in below, as are all others
    steps: int = option(
        lambda c: (DEFAULT_STEPS if c.adaptive is None else ADAPTIVE_STEPS)[c.canvas], positive, modes=MODES
    )
    schedule: str = option("uniform", known_rule, modes=MODES)
    adaptive: str | None = option(None, known_rule, modes=MODES)
    temperature: float = option(0.0, not_negative, modes=MODES)
    algorithm: str | None = option(
        "maskgit_plus",
        known_rule,
        modes=(PLAIN,),
        why="elsewhere slots are decided together and revealed by the probability of their symbols",
        needs=_ranks,
    )
    confidence_threshold: float | None = option(
        0.7, share, modes=MODES, needs=_of_rule("confidence_threshold")
    )
    entropy_bound: float | None = option(
        lambda c: ENTROPY_BOUND[c.canvas], not_negative, modes=MODES, needs=_of_rule("entropy_bound")
    )
    fit_canvas: bool = option(
        lambda c: c.decoding == GROUNDED,
        switch,
        modes=COMPLETION,
        why="an aligned canvas has one slot for each word",
        off=False,
    )
    compact: bool = option(True, switch, modes=MODES)
    pad_penalty: float = option(
        0.0, not_negative, modes=COMPLETION, why="an aligned canvas holds no padding", off=0.0
    )
    remasking: bool = option(False, switch, modes=MODES, off=False, needs=_returns)
    seed: int | None = option(None, whole_64, modes=MODES, needs=_samples)
    outside_bias: float | None = option(None, number, modes=("aligned",), why="a completion has no symbol O")
    use_cache: bool | str = option(True, anything, modes=MODES)

    def __post_init__(self) -> None:
        if self.canvas not in CANVASES:
            raise ValueError(f"canvas must be one of {CANVASES}, got {self.canvas!r}")
        self._set("decoding", self.decoding or GROUNDED)
        if self.decoding not in DECODINGS:
            raise ValueError(f"decoding must be one of {DECODINGS}, got {self.decoding!r}")
        if self.canvas == "aligned" and self.decoding == PLAIN:
            raise ValueError(
                "decoding='plain' is for the completion canvas; the aligned canvas can only name spans of "
                "the text: leave decoding out, or choose canvas='completion'"
            )
        if isinstance(self.adaptive, bool):
            self._set("adaptive", DEFAULT_ADAPTIVE if self.adaptive else None)
        own = {f.name: f.metadata["option"] for f in fields(self) if f.name not in ("canvas", "decoding")}
        given = {name: getattr(self, name) for name in own if getattr(self, name) is not None}
        for name, value in given.items():
            own[name].check(name, value)
        for name, entry in own.items():
            need = self._need(entry)
            if need is None:
                if name not in given:
                    default = entry.default(self) if callable(entry.default) else entry.default
                    self._set(name, default)
                self._check_rule(name)
            elif name not in given or given[name] == entry.off:
                self._set(name, entry.off)
            else:
                raise ValueError(f"{name}={given[name]!r} needs {need[0]}: {need[1]}; leave {name} out")

    @property
    def mode(self) -> str:
        """What a canvas may hold: ``"aligned"``, ``"grounded"`` or ``"plain"``."""
        return "aligned" if self.canvas == "aligned" else self.decoding

    def _need(self, entry: Option) -> tuple[str, str] | None:
        """Return what an option would need to have an effect, and why; None: it has one."""
        if self.mode not in entry.modes:
            return _needed(entry.modes), entry.why
        return entry.needs(self)

    def _check_rule(self, name: str) -> None:
        """Check that a named rule is for this mode."""
        rule = RULES.get(name, {}).get(getattr(self, name))
        if rule is not None and self.mode not in rule.modes:
            raise ValueError(
                f"{name}={getattr(self, name)!r} needs {_needed(rule.modes)}: the rule is for nothing else; "
                f"leave {name} out, or choose another"
            )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the way to fill in a frozen dataclass
