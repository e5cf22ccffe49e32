"""From a denoised canvas to entities in the text."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..canvas.encoding import EncodedPrompt, PromptEncoder
from ..canvas.template import parse_completion
from ..custom_generate.grammar import Automaton, Symbols
from ..custom_generate.state import DenoisingStep
from ..custom_generate.tagging import OUTSIDE, SpanProbabilities, clamp_known, spans_of
from .chunking import Entity


@dataclass
class Prediction:
    """What a canvas says.

    ``entities`` have offsets into the prompt's text. ``segments`` counts the pieces of a free completion,
    ``violations`` those that could not be read, ``hallucinations`` the (type, span) pairs whose span is
    not in the text, ``repetitions`` those named more often than the text has them. ``truncated`` says that
    the answer fills the longest canvas it can have, ``forwards`` how often the network ran over the canvas.
    """

    entities: list[Entity]
    segments: int = 0
    violations: list[tuple[str, str]] = field(default_factory=list)
    hallucinations: list[tuple[str, str]] = field(default_factory=list)
    repetitions: list[tuple[str, str]] = field(default_factory=list)
    truncated: bool = False
    forwards: int = 0


def predict_aligned(
    encoder: PromptEncoder, prompts: Sequence[EncodedPrompt], step: DenoisingStep
) -> list[Prediction]:
    """Read aligned canvases; a score is the exact probability of the span under all valid taggings,
    each slot with the distribution it had when it was revealed, calibrated as the checkpoint says.
    """
    choice, log_probs = step.choice, step.log_probs
    assert log_probs is not None  # always kept on the aligned canvas
    lengths = torch.tensor([[len(p.words)] for p in prompts])
    beyond = torch.arange(choice.shape[1]) >= lengths
    log_probs = clamp_known(log_probs.cpu(), torch.where(beyond, OUTSIDE, -1))
    check_numbers(log_probs)
    probability = SpanProbabilities(log_probs)
    found = [
        (row, span)
        for row, (prompt, tags) in enumerate(zip(prompts, choice.tolist(), strict=True))
        for span in spans_of(tags[: len(prompt.words)])
    ]
    scores = probability.of([row for row, _ in found], [span for _, span in found])
    predictions = [Prediction([]) for _ in prompts]
    for (row, span), score in zip(found, scores, strict=True):
        prompt = prompts[row]
        start, end = prompt.words[span.first][0], prompt.words[span.last][1]
        sure = encoder.settings.calibrated("aligned", score)
        predictions[row].entities.append(
            Entity(start, end, prompt.text[start:end], prompt.types[span.type], sure)
        )
    return predictions


def predict_grounded(
    encoder: PromptEncoder,
    prompts: Sequence[EncodedPrompt],
    automata: Sequence[Automaton],
    step: DenoisingStep,
) -> list[Prediction]:
    """Read grounded completions; a score is the geometric mean of its tokens' probabilities when revealed,
    calibrated as the checkpoint says.
    """
    assert step.states is not None  # always kept by a grounded projection
    check_numbers(step.confidence)
    predictions = []
    for prompt, automaton, path, confidence in zip(
        prompts, automata, step.states.tolist(), step.confidence.tolist(), strict=True
    ):
        named: list[tuple[str, str, float]] = []
        for entry in automaton.read(path):
            start, end = prompt.words[entry.first_word][0], prompt.words[entry.last_word][1]
            score = _geometric_mean(confidence[slice(*entry.slots)])
            named.append((prompt.types[entry.type], prompt.text[start:end], score))
        predictions.append(_placed(encoder, prompt, named))
    return predictions


def predict_free(
    encoder: PromptEncoder, prompts: Sequence[EncodedPrompt], step: DenoisingStep
) -> list[Prediction]:
    """Read free completions, whatever they say; scores as in ``predict_grounded``."""
    check_numbers(step.confidence)
    predictions = []
    for prompt, ids, sure in zip(prompts, step.ids.tolist(), step.confidence.tolist(), strict=True):
        end = encoder.settings.pad_token_id
        length = ids.index(end) if end in ids else len(ids)
        spelled = {encoder.spell(name): name for name in prompt.types}
        pieces = encoder.decode_pieces(ids[:length])
        written = _colons("".join(pieces), list(spelled))
        parsed = parse_completion(written, list(spelled))
        # Where each slot's piece ends in the string, to find the slots of an entity.
        ends = torch.tensor([len(piece) for piece in pieces]).cumsum(0).tolist() if pieces else []
        named = []
        for (name, span), (start, stop) in zip(parsed.entities, parsed.ranges, strict=True):
            slots = [
                p
                for p, e, piece in zip(sure, ends, pieces, strict=False)
                if e > start and e - len(piece) < stop
            ]
            named.append((spelled[name], span, _geometric_mean(slots)))
        prediction = _placed(encoder, prompt, named)
        prediction.segments, prediction.violations = parsed.segments, parsed.violations
        predictions.append(prediction)
    return predictions


def check_numbers(values: torch.Tensor) -> None:
    """Refuse what a network made of numbers that its dtype cannot hold: no answer can be read off it.

    Args:
        values: probabilities or their logarithms, of any shape.

    Raises:
        ValueError: one of them is not a number.
    """
    if bool(torch.isnan(values).any()):
        raise ValueError(
            "the network's outputs are not numbers: its activations overflow. float16 is the usual reason: "
            "load the model in bfloat16 or float32 (dtype=); otherwise its weights are damaged"
        )


def automaton_of(encoder: PromptEncoder, prompt: EncodedPrompt, symbols: Symbols) -> Automaton:
    """Return the automaton of the valid completions of one prompt."""
    text, words = prompt.text, prompt.words
    begins = [0, *(end for _, end in words)][: len(words)]
    starts = [" " + text[a:b] for a, b in words]
    continues = [text[begin:b] for begin, (_, b) in zip(begins, words, strict=True)]
    names = [" " + name for name in prompt.types]
    ids = encoder.token_ids([*names, *starts, *continues])
    k, n = len(names), len(words)
    return Automaton(ids[:k], ids[k : k + n], ids[k + n :], symbols)


def symbols_of(encoder: PromptEncoder) -> Symbols:
    """Return the token ids of the format's signs."""
    colon, bar, none = encoder.token_ids(["a:", "a | b", " none"])
    return Symbols(colon[-1], bar[1], tuple(none), encoder.settings.pad_token_id)


def _placed(encoder: PromptEncoder, prompt: EncodedPrompt, named: list[tuple[str, str, float]]) -> Prediction:
    """Give each (type, span) its offsets, and its calibrated score.

    Mentions are written in order of occurrence and each has a place of its own, so a mention takes the first
    of its occurrences that lies behind all before it; failing that, the first that is free; failing that
    (nested mentions), the first that no mention of the same type and span has taken.
    """
    used: set[tuple[str, int]] = set()
    places: dict[str, list[tuple[int, int]]] = {}
    taken: list[tuple[int, int]] = []
    prediction = Prediction([])
    reach = 0
    for name, span, score in named:
        if span not in places:
            places[span] = occurrences(prompt, span) or encoder.token_occurrences(prompt, span)
        if not places[span]:
            prediction.hallucinations.append((name, span))
            continue
        left = [place for place in places[span] if (name, place[0]) not in used]
        if not left:
            prediction.repetitions.append((name, span))
            continue
        free = [(a, b) for a, b in left if all(b <= start or end <= a for start, end in taken)]
        start, end = next((place for place in free if place[0] >= reach), (free or left)[0])
        used.add((name, start))
        taken.append((start, end))
        reach = max(reach, end)
        sure = encoder.settings.calibrated("completion", score)
        prediction.entities.append(Entity(start, end, prompt.text[start:end], name, sure))
    return prediction


def occurrences(prompt: EncodedPrompt, span: str) -> list[tuple[int, int]]:
    """Return where the span stands in the text, from left to right, never overlapping.

    Occurrences of whole words count; only if there is none, those inside words do.
    """
    places = [m.span() for m in re.finditer(re.escape(span), prompt.text)] if span else []
    begins = {start for start, _ in prompt.words}
    ends = {end for _, end in prompt.words}
    return [place for place in places if place[0] in begins and place[1] in ends] or places


def _colons(written: str, names: Sequence[str]) -> str:
    """Join a type and its colon, which some tokenizers spell apart, keeping the string's length."""
    if not names:
        return written
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"((?:^|\|)\s*(?:{alternatives})) :(?= |$)", r"\1: ", written)


def _geometric_mean(probabilities: Sequence[float]) -> float:
    if not probabilities:
        return 0.0
    return math.exp(sum(math.log(max(p, 1e-12)) for p in probabilities) / len(probabilities))
