"""A text and its mentions, each with type names from the finest to the most general."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OpenMention:
    """A mention: ``text[start:end]`` (characters) is of every one of ``types``, the finest first."""

    start: int
    end: int
    types: tuple[str, ...]

    def words(self, text: str) -> str:
        """The words of the mention, in the form in which they are compared."""
        return " ".join(text[self.start : self.end].casefold().split())


@dataclass(frozen=True)
class Passage:
    """A text with its mentions.

    Attributes:
        id: unique name.
        genre: kind of text; with it goes the licence.
        text: with its line breaks and tabs.
        mentions: in the order of the text, without overlaps.
        origin: the set that the text comes from, "" where it was written for this project.
        group: what must stay together in one split; "" stands for the text itself.
    """

    id: str
    genre: str
    text: str
    mentions: tuple[OpenMention, ...]
    origin: str = ""
    group: str = ""


def flat(mentions: tuple[OpenMention, ...]) -> tuple[OpenMention, ...]:
    """Mentions without overlaps, in the order of the text: the longest stays, of equals the first."""
    kept: list[OpenMention] = []
    for mention in sorted(mentions, key=lambda mention: (mention.start - mention.end, mention.start)):
        if all(mention.end <= other.start or other.end <= mention.start for other in kept):
            kept.append(mention)
    return tuple(sorted(kept, key=lambda mention: mention.start))
