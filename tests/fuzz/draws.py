"""Where a case comes from: whole numbers out of bytes, hypothesis or a list; and what is made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

# What the formats are made of, special tokens, and characters that break programs.
PIECES = (
    *("|", ":", "\\", " ", "\n", "\t", ",", " | ", ": ", " | a: ", "| person: ", " none", "none", "\\|"),
    *("person", "a", "b", "a b", "Straße", "İl", "ı", "i̇", "K", "ſ", "ß", "SS", "Ada Lovelace"),
    *("\nEntities:", "\nText: "),
    *("[MASK]", "[PAD]", "[UNK]", "[unused3]", "<|mask|>", "<|endoftext|>", "##a", "-", "_", "a-b_c", "3.14"),
    *("\x00", "\x1f", "\x7f", "\u0301", "e\u0301", "\u200b", "\u200d", "\u202e", "\ufeff", "\u2028", "\x85"),
    *("\ud800", "\udfff", "😀", "👩🏽‍🚀", "東京", "ไทย", "한국", "שלום", "नमस्ते", "\ufffd", "\u3000", "\xa0"),
)  # fmt: skip
ODD_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e38, -1e38, 0.0, 1e-45)


class Draws(ABC):
    """Makes things of whole numbers, and keeps those it drew: ``drawn`` is the case."""

    def __init__(self) -> None:
        self.drawn: list[int] = []

    @abstractmethod
    def _next(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        value = self._next(low, high)
        self.drawn.append(value)
        return value

    def chance(self) -> bool:
        """Return True or False."""
        return bool(self.integer(0, 1))

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def several(self, make: Callable[[], T], most: int, least: int = 0) -> list[T]:
        """Return between ``least`` and ``most`` things."""
        return [make() for _ in range(self.integer(least, most))]

    def character(self) -> str:
        """Return one character, a lone surrogate perhaps."""
        kind = self.integer(0, 3)
        if kind == 0:
            return chr(self.integer(32, 126))
        if kind == 1:
            return chr(self.integer(0, 0x250))
        if kind == 2:
            return chr(self.integer(0x250, 0x3400))
        return chr(self.integer(0, 0x10FFFF))

    def text(self, most: int = 10) -> str:
        """Return a text of up to so many pieces or characters."""
        return "".join(self.several(lambda: self.choice(PIECES) if self.chance() else self.character(), most))

    def bytes(self, most: int = 24) -> bytes:
        """Return up to so many bytes."""
        return bytes(self.several(lambda: self.integer(0, 255), most))

    def table(self, rows: int, columns: int) -> torch.Tensor:
        """Return random numbers of a drawn scale, a few of them replaced by odd ones."""
        import torch  # seconds, which the targets of formats alone do not wait

        stream = torch.Generator().manual_seed(self.integer(0, 2**31))
        values = torch.randn(rows, columns, generator=stream) * self.choice((0.0, 1.0, 30.0, 1e20))
        if rows and columns:
            for value in self.several(lambda: self.choice(ODD_NUMBERS), 3):
                values[self.integer(0, rows - 1), self.integer(0, columns - 1)] = value
        return values


class ByteDraws(Draws):
    """Numbers out of bytes, as a fuzzer writes them; when they are used up, the lowest."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data, self._at = data, 0

    def _next(self, low: int, high: int) -> int:
        width = ((high - low).bit_length() + 7) // 8
        value = int.from_bytes(self._data[self._at : self._at + width], "little")
        self._at += width
        return low + value % (high - low + 1)


class HypothesisDraws(Draws):
    """Numbers that hypothesis chooses."""

    def __init__(self, data: Any) -> None:
        from hypothesis import strategies

        super().__init__()
        self._draw, self._integers = data.draw, strategies.integers

    def _next(self, low: int, high: int) -> int:
        return self._draw(self._integers(low, high))


class KeptDraws(Draws):
    """The numbers of a case that was kept; where a target has changed since, clipped to what it asks for."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self._numbers = iter(numbers)

    def _next(self, low: int, high: int) -> int:
        return min(max(next(self._numbers, low), low), high)
