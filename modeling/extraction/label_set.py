"""The labels of a call: what the network reads for each, and the caller's spelling of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..canvas.template import MAX_TYPE_LENGTH, check_types
from .columns import scalar, values
from .label_names import DESCRIPTION_WORDS, described, meaning, plain_name, say, tag_content, written_name

if TYPE_CHECKING:
    from .chunking import Entity

Labels = Sequence[str] | Mapping[str, str] | Sequence[Mapping[str, str]]
"""Labels, or labels with what each means."""
Threshold = float | Mapping[str, float]
"""The least score, or that of each label; the key ``"default"`` is for all other labels."""

DEFAULT = "default"
_OUTSIDE = "O"  # the tag of words outside of entities


@dataclass(frozen=True)
class LabelSet:
    """The labels of one text.

    Attributes:
        spellings: the caller's label of each name that the network reads, in the caller's order. No two
            names are alike and no two labels, so that a result tells its label.
        least: the least score of each name that has one of its own.
        explained: the caller's labels that have a description.
    """

    spellings: Mapping[str, str]
    least: Mapping[str, float]
    explained: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """What the network reads."""
        return list(self.spellings)

    def named(self, entities: "Iterable[Entity]") -> "Iterator[Entity]":
        """Yield the entities whose score is enough, under the caller's labels."""
        for entity in entities:
            if entity.score >= self.least.get(entity.label, 0.0):
                yield replace(entity, label=self.spellings[entity.label])

    def spelled(self, slots: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return slots of the aligned canvas with the caller's labels as their symbols."""
        return [{**slot, "symbol": self.spellings.get(slot["symbol"], slot["symbol"])} for slot in slots]


def label_sets(labels: Any, texts: int, threshold: Any = 0.0, canvas: str = "aligned") -> list[LabelSet]:
    """Return the labels of each text.

    Args:
        labels: ``Labels`` for all texts, or a list of them for each text, of which some may be empty. A list
            of mappings is one list of labels. Arrays, series and columns are lists too.
        texts: how many there are.
        threshold: see ``Threshold``.
        canvas: ``"aligned"`` or ``"completion"``.

    Raises:
        TypeError, ValueError: a label or a threshold is wrong, there is no label at all, or a label has a
            description on the completion canvas; the message names it and the fix.
    """
    sets = _sets(labels, texts, threshold)
    explained = [label for own in sets for label in own.explained]
    if explained and canvas == "completion":
        raise ValueError(
            f"label {explained[0]!r} has a description, which the completion canvas cannot use: there the "
            "network writes each name into its answer; use canvas='aligned', or the labels alone"
        )
    return sets


def _sets(labels: Any, texts: int, threshold: Any) -> list[LabelSet]:
    labels = labels if isinstance(labels, str | Mapping) else values(labels)
    if not is_list_of_lists(labels):
        shared = read_labels(labels, threshold)
        check_threshold(threshold, [shared])
        return [shared] * texts
    if len(labels) != texts:
        raise ValueError(f"{texts} texts but {len(labels)} lists of labels; give one list for each text")
    owns = [values(own) if _is_list(own) else own for own in labels]
    if all(isinstance(own, list | Mapping) and not own for own in owns):
        check_types([])  # raises
    known: dict[Any, LabelSet] = {}
    sets = []
    for number, own in enumerate(owns):
        try:
            if isinstance(own, list | Mapping) and not own:
                sets.append(LabelSet({}, {}))
                continue
            key = tuple(own) if isinstance(own, list) and all(isinstance(x, str) for x in own) else None
            if key is None or key not in known:
                known[key] = read_labels(own, threshold)
            sets.append(known[key])
        except (TypeError, ValueError) as error:
            raise type(error)(f"text {number}: {error}") from None
    check_threshold(threshold, sets)
    return sets


def is_list_of_lists(labels: Any) -> bool:
    """Return whether labels are lists for several texts, and no labels themselves."""
    return isinstance(labels, list) and bool(labels) and _is_list(labels[0])


def read_labels(labels: Any, threshold: Any = 0.0) -> LabelSet:
    """Return one list of labels as the network reads them.

    A label that comes twice, or that differs from an earlier one in letter case, blanks or a tag's prefix
    alone, is left out: results carry the first spelling. A singular and its plural are both asked for, each
    as it is written.

    Args:
        labels: names, or a mapping from names to descriptions, or a list of such mappings.
        threshold: see ``Threshold``; keys that are none of these labels are ignored here.

    Raises:
        TypeError, ValueError: there is no label, one cannot be used, or two mean the same.
    """
    pairs = _pairs(labels)
    check_types([label for label, _ in pairs])
    firsts: dict[str, tuple[str, str]] = {}
    tagged = any(tag_content(label) != label or meaning(label) for label, _ in pairs)
    for label, description in pairs:
        if label == _OUTSIDE and tagged:
            say([(label, "marks words outside of entities and is left out")])
            continue
        key = tag_content(" ".join(label.split())).casefold()
        if key in firsts and description and not firsts[key][1]:
            firsts[key] = (firsts[key][0], description)
        firsts.setdefault(key, (label, description))
    own = list(firsts.values())
    say((label, f"is read as {meaning(label)!r}") for label, _ in own if _is_news(label))
    say(
        (
            label,
            f"has a description of {len(description.split())} words, "
            f"of which the first {DESCRIPTION_WORDS} are read",
        )
        for label, description in own
        if len(description.split()) > DESCRIPTION_WORDS
    )
    names = _distinct([label for label, _ in own])
    spellings: dict[str, str] = {}
    for name, (label, description) in zip(names, own, strict=True):
        asked = described(name, description)[:MAX_TYPE_LENGTH] if description else name
        if asked in spellings:
            raise ValueError(
                f"labels {spellings[asked]!r} and {label!r} mean the same, {asked!r}; "
                "leave one of them out, or say how they differ: "
                f'{{{spellings[asked]!r}: "what it means", {label!r}: "what it means"}}'
            )
        spellings[asked] = label
    explained = [label for label, description in own if description]
    return LabelSet(spellings, _least(spellings, threshold), explained)


def least_score(threshold: Any) -> Any:
    """Return the threshold that every entity must reach: the number, or the least one of a mapping.

    Raises:
        ValueError: a value of a mapping is no number in [0, 1].
    """
    if not isinstance(threshold, Mapping):
        return scalar(threshold)
    for label, given in threshold.items():
        value = scalar(given)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"threshold of {label!r} must be a number in [0, 1], got {given!r}")
    return 0.0 if DEFAULT not in threshold else min(float(scalar(value)) for value in threshold.values())


def check_threshold(threshold: Any, sets: Iterable[LabelSet]) -> None:
    """Check that a mapping of thresholds names asked labels alone.

    Raises:
        ValueError: it names another one.
    """
    if not isinstance(threshold, Mapping):
        return
    labels = {label for own in sets for label in own.spellings.values()}
    known = {_key(label) for label in labels}
    for label in threshold:
        if label != DEFAULT and (not isinstance(label, str) or _key(label) not in known):
            raise ValueError(
                f"threshold names {label!r}, which is none of the labels {', '.join(sorted(labels))[:200]}; "
                f'use their names, and "{DEFAULT}" for all others'
            )


def _least(spellings: Mapping[str, str], threshold: Any) -> dict[str, float]:
    if not isinstance(threshold, Mapping):
        return {}
    least_score(threshold)  # checks the values
    given = {_key(label): value for label, value in threshold.items() if isinstance(label, str)}
    given |= {label: value for label, value in threshold.items() if isinstance(label, str)}
    default = threshold.get(DEFAULT, 0.0)
    return {
        name: float(scalar(given.get(label, given.get(_key(label), default))))
        for name, label in spellings.items()
    }


def _key(label: str) -> str:
    return tag_content(" ".join(label.split())).casefold()


def _distinct(labels: Sequence[str]) -> list[str]:
    """Return the name of each label; nouns stay plural where the singular is another label's name."""
    names = [plain_name(label) for label in labels]
    count: dict[str, int] = {}
    for name in names:
        count[name] = count.get(name, 0) + 1
    return [
        name if count[name] == 1 or meaning(label) else written_name(label)
        for name, label in zip(names, labels, strict=True)
    ]


def _is_news(label: str) -> bool:
    """Whether a code is read as other words than its own."""
    found = meaning(label)
    return found is not None and found != written_name(label)


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _pairs(labels: Any) -> list[tuple[str, str]]:
    """Return (label, description) pairs; the description is empty where there is none."""
    if isinstance(labels, str) and ("," in labels or ";" in labels):
        parts = [part.strip() for part in labels.replace(";", ",").split(",") if part.strip()]
        raise TypeError(
            f"labels must be a list of strings, got the string {labels!r:.80}; write {parts!r:.200}"
        )
    if isinstance(labels, Mapping):
        return [(label, _description(label, text)) for label, text in labels.items()]
    if not isinstance(labels, list) or not any(isinstance(one, Mapping) for one in labels):
        return [(label, "") for label in check_all(labels)]
    pairs: list[tuple[str, str]] = []
    for one in labels:
        if not isinstance(one, Mapping):
            pairs.append((one, ""))
        elif set(one) == {"label", "description"}:
            pairs.append((one["label"], _description(one["label"], one["description"])))
        else:
            pairs += _pairs(one)
    return pairs


def check_all(labels: Any) -> list[str]:
    """Return the labels as they are, if all can be used.

    Raises:
        TypeError, ValueError: see ``check_types``.
    """
    check_types(labels)
    return list(labels)


def _description(label: Any, text: Any) -> str:
    if text is None:
        return ""
    if not isinstance(text, str):
        raise TypeError(
            f"the description of label {label!r} must be a string, got {text!r:.60} of type "
            f'{type(text).__name__}; write {{{label!r}: "what it means"}}'
        )
    return " ".join(text.split())
