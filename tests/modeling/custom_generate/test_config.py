"""The one config of the decoding: its defaults, and what each canvas refuses by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.custom_generate.config import DecodingConfig
from modeling.custom_generate.unmasking import RULES
from modeling.extraction.options import Options

MODES = {
    "aligned": {"canvas": "aligned"},
    "grounded": {"canvas": "completion", "decoding": "grounded"},
    "plain": {"canvas": "completion", "decoding": "plain"},
}
# Of each option: a value that is not the default, the modes in which it has an effect, and the options that
# must stand beside it.
USES: dict[str, tuple[Any, set[str], dict[str, Any]]] = {
    "steps": (3, set(MODES), {}),
    "schedule": ("dream", set(MODES), {}),
    "adaptive": ("threshold", set(MODES), {}),
    "temperature": (0.5, set(MODES), {}),
    "algorithm": ("entropy", {"plain"}, {}),
    "confidence_threshold": (0.4, set(MODES), {"adaptive": "threshold"}),
    "entropy_bound": (0.1, set(MODES), {"adaptive": "entropy"}),
    "fit_canvas": (True, {"grounded", "plain"}, {}),
    "compact": (False, set(MODES), {}),
    "pad_penalty": (5.0, {"grounded", "plain"}, {}),
    "remasking": (True, set(MODES), {"steps": 4}),
    "seed": (3, set(MODES), {"temperature": 1.0}),
    "outside_bias": (-1.0, {"aligned"}, {}),
    "use_cache": (False, set(MODES), {}),
    "threshold": (0.5, set(MODES), {}),
    "nested": (True, {"grounded", "plain"}, {}),
    "overlaps": ("longest", set(MODES), {}),
}
NAMES = [f.name for f in dataclasses.fields(Options) if f.name not in ("canvas", "decoding")]


def config_of(name: str) -> type[DecodingConfig]:
    """Return the smallest config that has the option."""
    return DecodingConfig if name in DecodingConfig.__dataclass_fields__ else Options


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_an_option_has_an_effect_or_is_refused_by_name(name, mode):
    value, modes, beside = USES[name]  # a new option must say here where it applies
    make = config_of(name)
    if mode in modes:
        assert getattr(make(**MODES[mode], **{name: value}, **beside), name) == value
        return
    with pytest.raises(ValueError, match=rf"^{name}={value!r} needs canvas=.*: .*; leave {name} out$"):
        make(**MODES[mode], **{name: value}, **beside)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [name for name in NAMES if USES[name][2]])
def test_an_option_that_needs_another_is_refused_without_it(name, mode):
    value, _, beside = USES[name]
    needed = {"steps": "steps of at least 2", "temperature": "a temperature above 0"}
    (other, wanted), *_ = beside.items()
    phrase = needed.get(other, f"{other}={wanted!r}")
    without = {"steps": 1} if other == "steps" else {}
    with pytest.raises(ValueError, match=f"^{name}={value!r} needs {phrase}: .*; leave {name} out$"):
        config_of(name)(**MODES[mode], **{name: value}, **without)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("confidence_threshold", {"adaptive": "entropy"}),
        ("entropy_bound", {"adaptive": "threshold"}),
        ("algorithm", {"adaptive": "threshold"}),
        ("algorithm", {"temperature": 1.0}),
    ],
)
def test_an_option_of_another_rule_is_refused(name, beside, mode):
    with pytest.raises(ValueError, match=f"^{name}={USES[name][0]!r} needs "):
        DecodingConfig(**MODES[mode], **{name: USES[name][0]}, **beside)


@pytest.mark.parametrize("mode", MODES)
def test_the_defaults_depend_on_the_canvas_and_the_rule_alone(mode):
    aligned, plain = mode == "aligned", mode == "plain"
    fixed, threshold, bound = (DecodingConfig(**MODES[mode], adaptive=a) for a in (None, "threshold", True))
    assert (fixed.steps, threshold.steps, bound.steps) == ((1, 4, 4) if aligned else (8, 8, 8))
    assert (fixed.confidence_threshold, fixed.entropy_bound) == (None, None)
    assert (threshold.confidence_threshold, threshold.entropy_bound) == (0.7, None)
    assert (bound.confidence_threshold, bound.entropy_bound) == (None, 8.0 if aligned else 2.0)
    assert fixed.fit_canvas is (mode == "grounded")
    assert fixed.algorithm == ("maskgit_plus" if plain else None)
    assert (fixed.pad_penalty, fixed.temperature, fixed.remasking, fixed.seed) == (0.0, 0.0, False, None)
    assert fixed.mode == mode
    # An extraction decodes with the same defaults.
    own = Options(**MODES[mode])
    assert all(getattr(own, f.name) == getattr(fixed, f.name) for f in dataclasses.fields(fixed))


@given(st.sampled_from(list(MODES)), st.sampled_from([None, "threshold", "entropy"]), st.integers(1, 9))
def test_a_config_is_rebuilt_from_its_fields(mode, adaptive, steps):
    made = DecodingConfig(**MODES[mode], adaptive=adaptive, steps=steps)
    assert dataclasses.replace(made) == made == DecodingConfig(**dataclasses.asdict(made))


def test_none_is_an_option_that_was_not_given():
    assert Options("aligned", **dict.fromkeys(["decoding", *NAMES])) == Options("aligned")


@pytest.mark.parametrize("name", RULES)
def test_an_unknown_rule_is_refused_with_those_that_there_are(name):
    with pytest.raises(ValueError, match=f"^{name} must be .*one of .*{next(iter(RULES[name]))}.*, got 'x'$"):
        DecodingConfig("completion", "plain", **{name: "x"})
