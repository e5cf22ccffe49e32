"""Text to tokens and back to text: the prompt's ids with the place of every word, type and marker in it.

There are two layouts. In the joint one, types and text are one string (``canvas.template``), positions run
through it, and each type has a marker of its own number. In that of type blocks, each type is a block
(marker and name) behind ``[CLS]``, all with the same marker and the same positions. The text stands behind
them at positions of its own. So nothing tells the order of the types, and the text stands where it would
without them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from ..custom_generate.forking import ForkSafeLock
from ..custom_generate.settings import DiffusionSettings
from .template import PROMPT_HEAD, PROMPT_TEXT, TYPE_SEPARATOR, render_prompt
from .words import WordTokens, breaks_between, split_words

CASE_LOWER, CASE_CAPITALISED, CASE_UPPER = range(3)
TYPE_NAME = 5  # the token type of a block; 3 and 4 are the canvases
FIRST_POSITION = 1  # of every block, and of the text behind blocks; [CLS] is at 0
KNOWN_TYPES = 200_000  # whose costs are remembered
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class EncodedPrompt:
    """One prompt in tokens.

    ``input_ids``, ``token_types`` and ``positions`` have one entry a token. ``token_types`` is the letter
    case (0 lower, 1 capitalised, 2 upper), or 5 in a type block. ``positions`` are position ids. ``words``
    are character offsets into the text of the words that have a token, ``word_positions`` the index of each
    one's first token. ``markers`` are the indices of the type markers (empty without markers). ``sources``
    are the indices of the tokens of type names and text: what a completion can copy. ``text_span`` is the
    half-open token range of the text. ``blocks`` has the
    number of each token's type block, from 1, and 0 elsewhere; it is empty if the types are no blocks.
    """

    types: tuple[str, ...]
    text: str
    input_ids: list[int]
    token_types: list[int]
    words: list[tuple[int, int]]
    word_positions: list[int]
    markers: list[int]
    sources: list[int]
    text_span: tuple[int, int]
    positions: list[int]
    blocks: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def end_position(self) -> int:
        """The position id at which a completion begins."""
        first, last = self.text_span
        return FIRST_POSITION + last - first if self.blocks else len(self.input_ids)


@dataclass
class PromptEncoder:
    """Encodes prompts for one checkpoint; may be shared between threads."""

    tokenizer: PreTrainedTokenizerBase
    settings: DiffusionSettings
    _lock: ForkSafeLock = field(default_factory=ForkSafeLock, repr=False)
    _lossy: bool = field(init=False, default=False, repr=False)
    _costs: dict[str, int] = field(init=False, default_factory=dict, repr=False)
    _words: WordTokens = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise ValueError(
                f"{type(self.tokenizer).__name__} gives no character offsets; "
                "use the fast tokenizer (AutoTokenizer with use_fast=True)"
            )
        self._words = WordTokens(self._plain_ids, self.tokenizer.unk_token_id)
        probe = "Éa-B c"
        self._lossy = self._decode(self.token_ids([probe])[0]) != probe

    def _plain_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenize(texts)["input_ids"]

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, with no special token, whatever the text says.

        A text that spells a special token (``"<|mask|>"``, ``"[MASK]"``) is read as plain characters.
        """
        if not texts:
            return []
        if not self.settings.type_blocks:
            return self._tokenize(texts)["input_ids"]
        split = [[text[a:b] for a, b in split_words(text)] for text in texts]
        known = self._words.of(word for words in split for word in words)
        return [[token for word in words for token in known[word]] for words in split]

    def text_sizes(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has in a prompt, and how many words."""
        if not self.settings.type_blocks:
            return [
                (len(ids), len(split_words(text)))
                for text, ids in zip(texts, self.token_ids(texts), strict=True)
            ]
        prompts = self._encode_blocks([((), text) for text in texts])
        return [(prompt.text_span[1] - prompt.text_span[0], len(prompt.words)) for prompt in prompts]

    def spell(self, text: str) -> str:
        """Return the text as its tokens spell it: an uncased tokenizer loses case, accents and spacing."""
        return "".join(self.decode_pieces(self.token_ids([text])[0]))

    def decode_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the piece of the decoded string that each token adds (empty inside a split character)."""
        whole = self._decode(ids)
        ends = [0]
        for count in range(1, len(ids)):
            prefix = self._decode(ids[:count])
            shared = next(
                (i for i, (a, b) in enumerate(zip(prefix, whole, strict=False)) if a != b), len(prefix)
            )
            ends.append(max(ends[-1], min(shared, len(whole))))
        ends.append(len(whole))
        return [whole[a:b] for a, b in pairwise(ends)][: len(ids)]

    def token_occurrences(self, prompt: EncodedPrompt, span: str) -> list[tuple[int, int]]:
        """Return where the tokens of ``span`` stand in the text as whole words, as character offsets.

        For tokenizers that lose case or spacing, whose spans cannot be found as strings; others get [].
        """
        if not self._lossy:
            return []
        wanted = self.token_ids([span])[0]
        first, last = prompt.text_span
        word_at = {at: i for i, at in reversed(list(enumerate(prompt.word_positions)))}
        boundaries = {*prompt.word_positions, last}
        breaks = {self.settings.newline_token_id, self.settings.tab_token_id}
        places = [at for at in range(first, last) if prompt.input_ids[at] not in breaks]
        tokens = [prompt.input_ids[at] for at in places]
        ends = [*places, last]
        found: list[tuple[int, int]] = []
        for number, at in enumerate(places[: max(0, len(places) - len(wanted) + 1)]):
            after = ends[number + len(wanted)]
            if not wanted or at not in word_at or after not in boundaries:
                continue
            if tokens[number : number + len(wanted)] == wanted:
                final = max(i for i, position in enumerate(prompt.word_positions) if position < after)
                found.append((prompt.words[word_at[at]][0], prompt.words[final][1]))
        return found

    def _decode(self, ids: Sequence[int]) -> str:
        with self._lock:
            return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def type_cost(self, name: str) -> int:
        """Return how many prompt tokens asking for this type takes; 0 if its name has no token."""
        return self.type_costs([name])[0]

    def type_costs(self, names: Sequence[str]) -> list[int]:
        """Return ``type_cost`` of each name; together they take less time."""
        found = {name: self._costs.get(name) for name in names}
        new = [name for name, cost in found.items() if cost is None]
        if new:
            separator = "" if self.settings.type_blocks else TYPE_SEPARATOR
            ids = self.token_ids([*new, *(name + separator for name in new)])
            marker = int(self.settings.prompt_markers)
            costs = {
                name: len(listed) + marker if bare else 0
                for name, bare, listed in zip(new, ids[: len(new)], ids[len(new) :], strict=True)
            }
            if len(self._costs) + len(new) > KNOWN_TYPES:
                self._costs.clear()
            self._costs.update(costs)
            found.update(costs)
        return [found[name] or 0 for name in names]

    def encode(self, types: Sequence[str], text: str) -> EncodedPrompt:
        """Return the encoded prompt for one text."""
        return self.encode_batch([(types, text)])[0]

    def encode_batch(self, requests: Sequence[tuple[Sequence[str], str]]) -> list[EncodedPrompt]:
        """Return the encoded prompt of each (types, text) pair."""
        if self.settings.type_blocks:
            return self._encode_blocks(requests)
        prompts = [render_prompt(types, text) for types, text in requests]
        if not prompts:
            return []
        batch = self._tokenize(prompts, return_offsets_mapping=True)
        return [
            self._place(tuple(types), text, prompt, ids, offsets)
            for (types, text), prompt, ids, offsets in zip(
                requests, prompts, batch["input_ids"], batch["offset_mapping"], strict=True
            )
        ]

    def _tokenize(self, texts: Sequence[str], **options: bool) -> dict:
        # A fast tokenizer keeps its options in itself: two threads that set them at once would clash.
        with self._lock:
            return self.tokenizer(
                # A lone surrogate is no character: it has no UTF-8 form, and no token.
                [_SURROGATE.sub("\ufffd", text) for text in texts],
                add_special_tokens=False,
                split_special_tokens=True,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
                **options,
            )

    def _place(
        self, types: tuple[str, ...], text: str, prompt: str, ids: list[int], offsets: list[tuple[int, int]]
    ) -> EncodedPrompt:
        starts, at = [], len(PROMPT_HEAD)
        for name in types:
            starts.append(at)
            at += len(name) + len(TYPE_SEPARATOR)
        types_end = at - len(TYPE_SEPARATOR)
        text_start = types_end + len(PROMPT_TEXT)
        text_end = text_start + len(text)

        marker_ids = self.settings.marker_ids(len(types)) if self.settings.prompt_markers else []
        out_ids: list[int] = []
        case: list[int] = []
        markers: list[int] = []
        sources: list[int] = []
        places: list[tuple[int, int]] = []  # of text tokens, in characters of the text
        cls_id = self.tokenizer.cls_token_id
        if cls_id is not None:
            out_ids.append(cls_id)
            case.append(CASE_LOWER)
        text_first = -1
        text_last = -1
        for token, (start, end) in zip(ids, offsets, strict=True):
            # A byte-level token may begin at the blank before the name, so its end decides.
            while marker_ids and len(markers) < len(types) and end > starts[len(markers)]:
                markers.append(len(out_ids))
                out_ids.append(marker_ids[len(markers) - 1])
                case.append(CASE_LOWER)
            in_type = end > starts[0] and start < types_end
            in_text = end > text_start and start < text_end
            if in_type or in_text:
                sources.append(len(out_ids))
            if in_text:
                if text_first < 0:
                    text_first = len(out_ids)
                text_last = len(out_ids) + 1
                places.append((start - text_start, end - text_start))
            out_ids.append(token)
            case.append(_letter_case(prompt[start:end]))
        if text_first < 0:
            text_first = text_last = len(out_ids)
        words, positions = _locate(split_words(text), places, text_first)
        span = (text_first, text_last)
        every = list(range(len(out_ids)))
        return EncodedPrompt(types, text, out_ids, case, words, positions, markers, sources, span, every)

    def _encode_blocks(self, requests: Sequence[tuple[Sequence[str], str]]) -> list[EncodedPrompt]:
        """Return the prompts in the layout of type blocks."""
        split = [split_words(text) for _, text in requests]
        names = {name: [name[a:b] for a, b in split_words(name)] for types, _ in requests for name in types}
        known = self._words.of(
            [text[a:b] for (_, text), words in zip(requests, split, strict=True) for a, b in words]
            + [word for words in names.values() for word in words]
        )
        of_name = {name: [t for word in words for t in known[word]] for name, words in names.items()}
        return [
            self._lay_out(tuple(types), text, words, [of_name[name] for name in types], known)
            for (types, text), words in zip(requests, split, strict=True)
        ]

    def _lay_out(
        self,
        types: tuple[str, ...],
        text: str,
        spans: list[tuple[int, int]],
        names: list[list[int]],
        known: dict[str, tuple[int, ...]],
    ) -> EncodedPrompt:
        settings = self.settings
        settings.marker_ids(len(types))  # refuses too many
        cls_id = self.tokenizer.cls_token_id
        ids: list[int] = [] if cls_id is None else [cls_id]
        case, positions, blocks = [CASE_LOWER] * len(ids), [0] * len(ids), [0] * len(ids)
        markers: list[int] = []
        sources: list[int] = []
        for number, name in enumerate(names, start=1):
            size = 1 + len(name)
            markers.append(len(ids))
            sources += range(len(ids) + 1, len(ids) + size)
            ids += [settings.first_marker_id, *name]
            positions += range(FIRST_POSITION, FIRST_POSITION + size)
            blocks += [number] * size
            case += [TYPE_NAME] * size
        first = len(ids)
        words: list[tuple[int, int]] = []
        word_positions: list[int] = []
        before = -1  # where the last word ends
        for start, end in spans:
            word = text[start:end]
            tokens = known[word]
            if not tokens:  # a word that the tokenizer drops
                continue
            if before >= 0 and text[before:start] not in ("", " "):
                breaks = breaks_between(text[before:start], settings.newline_token_id, settings.tab_token_id)
                ids += breaks
                case += [CASE_LOWER] * len(breaks)
            before = end
            words.append((start, end))
            word_positions.append(len(ids))
            sources += range(len(ids), len(ids) + len(tokens))
            ids += tokens
            case += [_letter_case(word)] * len(tokens)
        size = len(ids) - first
        positions += range(FIRST_POSITION, FIRST_POSITION + size)
        blocks += [0] * size
        span = (first, len(ids))
        return EncodedPrompt(
            types, text, ids, case, words, word_positions, markers, sources, span, positions, blocks
        )


def _locate(
    words: list[tuple[int, int]], tokens: list[tuple[int, int]], first: int
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the words that have a token, and the index of each one's first token.

    ``tokens`` are the character ranges of the text's tokens, the first of which has the index ``first``.
    Words may share a token. A word that no token covers (a character the tokenizer drops) is left out.
    """
    kept: list[tuple[int, int]] = []
    positions: list[int] = []
    token = 0
    for start, end in words:
        while token < len(tokens) and tokens[token][1] <= start:
            token += 1
        if token == len(tokens):
            break
        if tokens[token][0] < end:
            kept.append((start, end))
            positions.append(first + token)
    return kept, positions


def _letter_case(surface: str) -> int:
    letters = surface.strip()
    if not letters[:1].isupper():
        return CASE_LOWER
    return CASE_UPPER if len(letters) > 1 and letters.isupper() else CASE_CAPITALISED
