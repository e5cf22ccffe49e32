"""Tokens to text, with exact character offsets: space-joined, or spaced as people write."""

import re
from collections.abc import Sequence

_NO_SPACE_BEFORE = frozenset(
    [",", ".", ";", ":", "!", "?", ")", "]", "}", "%", "…", "...", "’", "”", "?!", "!!", "°"]
)
_NO_SPACE_AFTER = frozenset(["(", "[", "{", "$", "£", "€", "¥", "#", "“", "‘", "@"])
_CLITIC_ENDS = frozenset(["s", "m", "d", "re", "ve", "ll", "t"])
_CLITICS = frozenset(["n't", "n’t"]) | {mark + end for mark in "'’" for end in _CLITIC_ENDS}
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_QUOTES = {"``": '"', "''": '"', "'\"'": '"'}
_HANDLE = re.compile(r"\{@(.+?)@\}")
_SPACE = re.compile(r"\s+")


def normalize_token(token: str) -> str:
    """A token as it stands in running text: treebank brackets and quotes, tweet placeholders and runs of
    white space replaced. May be empty if the token was nothing but white space.
    """
    token = _BRACKETS.get(token, _QUOTES.get(token, token))
    token = _HANDLE.sub(r"\1", token)
    token = token.replace("{{USERNAME}}", "@user").replace("{{URL}}", "https://t.co/link")
    return _SPACE.sub(" ", token).strip()


def spaces_within_words(tokens: Sequence[str], split_words: bool) -> list[bool]:
    """Say for each token whether a space stands before it when only words are put together again.

    Args:
        tokens: normalised tokens.
        split_words: the tokeniser split inside words and numbers ("long - term", "2 . 5", "U . S ."). Without
            it only a clitic that was cut at its apostrophe is joined ("' s").
    """
    spaces = [index > 0 for index in range(len(tokens))]
    for index in range(1, len(tokens)):
        token, before = tokens[index], tokens[index - 1]
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        if token in ("'", "’") and after.lower() in _CLITIC_ENDS and before[-1].isalnum():
            spaces[index + 1] = False
        elif not split_words:
            continue
        elif token == "." and len(before) == 1 and before.isupper():
            # An initial; the last stop of "U . S ." belongs to it too.
            if len(after) == 1 and after.isupper():
                spaces[index] = spaces[index + 1] = False
            elif not spaces[index - 1]:
                spaces[index] = False
        elif after and _joins(token, before, after):
            spaces[index] = spaces[index + 1] = False
    return spaces


def _joins(token: str, before: str, after: str) -> bool:
    """Whether ``token`` between two tokens was split off inside a word or number."""
    if token in ("-", "/", "'", "_"):
        return before[-1].isalnum() and after[0].isalnum()
    if token in (":", "."):
        return before[-1].isdigit() and after[0].isdigit()
    return token == "," and before.isdigit() and len(before) < 4 and after.isdigit() and len(after) == 3


def spaces_before(tokens: Sequence[str], split_words: bool) -> list[bool]:
    """Say for each token whether a space stands before it in natural text; arguments as
    :func:`spaces_within_words`.
    """
    spaces = spaces_within_words(tokens, split_words)
    open_quote = False
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        if token in _NO_SPACE_BEFORE or token.lower() in _CLITICS or before in _NO_SPACE_AFTER:
            spaces[index] = False
        if token in ("'", "’") and index + 1 < len(tokens) and not spaces[index + 1]:
            spaces[index] = False
        if token == '"':
            if open_quote:
                spaces[index] = False
            elif index + 1 < len(tokens):
                spaces[index + 1] = False
            open_quote = not open_quote
    return spaces


def render(
    tokens: Sequence[str], natural: bool, split_words: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """Tokens as text.

    Args:
        tokens: normalised, none empty.
        natural: spaced as people write; otherwise words and punctuation marks are joined by single spaces.
        split_words: see :func:`spaces_within_words`.

    Returns:
        the text, and (start, end) character offsets of each token in it, end exclusive.
    """
    spaces = (spaces_before if natural else spaces_within_words)(tokens, split_words)
    parts: list[str] = []
    offsets = []
    position = 0
    for token, space in zip(tokens, spaces, strict=True):
        if space:
            parts.append(" ")
            position += 1
        parts.append(token)
        offsets.append((position, position + len(token)))
        position += len(token)
    return "".join(parts), offsets
