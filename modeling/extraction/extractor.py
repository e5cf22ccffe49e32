"""Entities of any type out of any text: the class that users hold."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from ..backbones.devices import Device, checked_device, default_device, default_dtype
from ..backbones.quantize import quantize_encoder
from ..canvas.encoding import PromptEncoder
from ..custom_generate.config import GROUNDED, SAMPLING_TEMPERATURE, positive
from ..custom_generate.forking import guard_forks, set_threads
from ..custom_generate.settings import DiffusionSettings
from .chunking import Entity, Limits, Request, flat, nested, pack, plan, split
from .columns import scalar, values
from .decoder import Decoder
from .holder import ModelHolder
from .label_set import Labels, LabelSet, Threshold, label_sets, least_score
from .options import Options, checked_canvas, checked_options, own_options
from .prediction import Prediction

MAX_TEXT_LENGTH = 5_000_000  # characters; planning its windows takes some 320 bytes for each


class EntityExtractor(ModelHolder):
    """Extracts entities of any type with one masked-diffusion network.

    One extractor may be called from several threads at once, and from the children of a fork.

    Args:
        model: as ``modeling.load_model`` returns it.
        tokenizer: the model's.
        canvas: ``"aligned"`` or ``"completion"``; default: what the checkpoint says.
        limits: what one prompt may hold; a longer text is read in windows, more types in several prompts.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        canvas: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        guard_forks()
        self.model = model
        self.settings = DiffusionSettings.of(model)
        self.canvas = checked_canvas(self.settings, canvas or self.settings.canvas)
        _check_vocabulary(model, tokenizer)
        self.encoder = PromptEncoder(tokenizer, self.settings)
        self.decoder = Decoder(model, self.settings, self.encoder)
        wanted = limits or Limits()
        # No more types than there are markers, and a quarter of the positions are left for an answer.
        self.limits = replace(
            wanted,
            types=min(wanted.types, self.settings.max_markers or wanted.types),
            prompt_tokens=min(wanted.prompt_tokens, self.decoder.context * 3 // 4),
        )

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path | None = None,
        *,
        device: Device | None = None,
        dtype: torch.dtype | None = None,
        canvas: str | None = None,
        revision: str | None = None,
        quantize: str | None = None,
        threads: int | None = None,
        engine: str | None = None,
        limits: Limits | None = None,
    ) -> "EntityExtractor":
        """Load a model and return its extractor.

        Args:
            path_or_id: folder or Hub id (adapter, merged or full); None is the embedded default, which
                needs no network.
            device: such as ``"cuda"`` or ``"cpu"``, a ``torch.device``, or the number of a GPU; ``"auto"``
                spreads a model over what there is; default: a GPU if there is one.
            dtype: of the weights; default: bf16 on a GPU, fp32 on the CPU.
            canvas: see EntityExtractor.
            revision: branch, tag or commit of a Hub repository.
            quantize: ``"int8"`` runs the encoder in 8-bit integers: two to three times faster on a CPU,
                and a little less exact; see ``backbones.quantize``.
            threads: CPU threads of torch, in the whole process; default: as they are.
            engine: ``"packed"`` (for Dream's shape; an adapter is merged) or ``"plain"``; default: packed on
                a GPU where the model can; see ``backbones.runtime``.
            limits: see EntityExtractor.

        Raises:
            OSError, ValueError: see ``load_model``, ``backbones.quantize`` and ``backbones.runtime``; or the
                device cannot be used here, or the tokenizer is another model's.
        """
        if threads is not None:
            set_threads(positive("threads", threads))
        chosen = checked_device(device) or default_device()
        dtype = default_dtype(chosen) if dtype is None else dtype
        # By name: a published pipeline lacks the loaders, because transformers loads its model.
        load_model = import_module("..backbones.load", __package__).load_model
        model = load_model(path_or_id, dtype=dtype, device_map=chosen, revision=revision)
        if quantize is not None:
            model = quantize_encoder(model, quantize)
        model = import_module("..backbones.runtime", __package__).with_engine(model, engine)
        tokenizer = import_module("..backbones.tokenizer", __package__).load_tokenizer(
            path_or_id, revision=revision
        )
        return cls(model, tokenizer, canvas, limits)

    def predict_entities(
        self,
        text: str,
        labels: Labels,
        threshold: Threshold = 0.0,
        *,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        **options: Any,
    ) -> list[dict]:
        """Return the entities of one text, in order, not overlapping.

        Args:
            text: in any language, up to ``MAX_TEXT_LENGTH`` characters; a text without words has no
                entities.
            labels: the entity types to look for, up to 10,000 of them. Codes, plurals, ``snake_case`` and
                the like are read as plain words, as ``extraction.label_names`` says; a mapping gives labels
                with what each means (aligned canvas only), such as ``{"judge": "who decides in a court"}``.
                Results carry the labels as they are given. Two labels that mean the same are refused.
            threshold: the least score of an entity returned, in [0, 1], or a mapping from labels to that of
                each; its key ``"default"`` is for all others (0 without it).
            steps: denoising steps; default 1 on the aligned canvas, 8 on the completion canvas. With
                ``adaptive`` the most of them, default 4 and 8.
            decoding: of the completion canvas: ``"grounded"`` (only spans of the text, the default) or
                ``"plain"`` (whatever the network writes). The aligned canvas is always grounded.
            canvas: ``"aligned"`` or ``"completion"``; default: the extractor's.
            options: ``nested`` (entities inside others, completion canvas only), ``overlaps`` (``"surest"``
                or ``"longest"``: which of two entities stays), and those of
                ``custom_generate.config.DecodingConfig``: ``adaptive`` with ``confidence_threshold`` and
                ``entropy_bound``, ``remasking``, ``temperature`` with ``seed``, ``outside_bias``, ...

        Returns:
            ``{"start", "end", "text", "label", "score"}`` each; ``text[start:end] == entity["text"]``.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it and the fix. Or the network's
                outputs are not numbers, as they overflow (float16).
        """
        return self.batch_predict_entities(
            [text],
            labels,
            threshold,
            steps=steps,
            decoding=decoding,
            canvas=canvas,
            **options,
        )[0]

    def batch_predict_entities(
        self,
        texts: Sequence[str],
        labels: Labels | Sequence[Labels],
        threshold: Threshold = 0.0,
        batch_size: int = 16,
        *,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        batch_tokens: int | None = None,
        **options: Any,
    ) -> list[list[dict]]:
        """Return the entities of each text; see ``predict_entities``.

        Args:
            texts: a list, an array or a column of texts.
            labels: one list of labels for all texts, or a list of lists, one for each text; a text whose list
                is empty has no entities.
            batch_size: how many prompts run at once; it does not change the answers.
            batch_tokens: the most tokens (prompts and words, with padding) that run at once, so that long
                texts run in smaller batches; default: no bound.
        """
        chosen = self.options(canvas, decoding, steps, threshold=least_score(threshold), **options)
        texts, sets = _documents(texts, labels, threshold, chosen.canvas)
        documents = [(own.names, text) for own, text in zip(sets, texts, strict=True)]
        found: list[list[Entity]] = [[] for _ in documents]
        for request, prediction in self.predict(documents, chosen, batch_size, batch_tokens):
            placed = request.placed(prediction.entities, chosen.threshold)
            found[request.document] += sets[request.document].named(placed)
        return [self._resolved(entities, chosen) for entities in found]

    def sample_entities(
        self,
        text: str,
        labels: Labels,
        runs: int = 10,
        threshold: Threshold = 0.0,
        *,
        temperature: float | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> list[list[dict]]:
        """Return the entities that several stochastic runs find in one text, a list for each run.

        The runs share one encoding of the prompt and are denoised together. How many of them agree on an
        entity tells how sure the network is of it.

        Args:
            runs: how many, at least 1.
            temperature: of the sampling, above 0; default: 1.
            seed: run number k of a text is the same for one seed, whatever else is asked; default: drawn.
            options: as of ``batch_predict_entities``.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it and the fix.
        """
        return self.batch_sample_entities(
            [text], labels, runs, threshold, temperature=temperature, seed=seed, **options
        )[0]

    def batch_sample_entities(
        self,
        texts: Sequence[str],
        labels: Labels | Sequence[Labels],
        runs: int = 10,
        threshold: Threshold = 0.0,
        batch_size: int = 16,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        batch_tokens: int | None = None,
        **options: Any,
    ) -> list[list[list[dict]]]:
        """Return for each text what ``sample_entities`` returns; ``batch_size`` counts the runs as rows."""
        options["temperature"] = SAMPLING_TEMPERATURE if temperature is None else temperature
        chosen = self.options(canvas, decoding, steps, threshold=least_score(threshold), **options)
        if chosen.temperature == 0:
            raise ValueError("temperature must be above 0 to sample; at 0 all runs are alike")
        texts, sets = _documents(texts, labels, threshold, chosen.canvas)
        documents = [(own.names, text) for own, text in zip(sets, texts, strict=True)]
        count = positive("runs", scalar(runs))
        found: list[list[list[Entity]]] = [[[] for _ in range(count)] for _ in documents]
        for request, run, prediction in self._predict(documents, chosen, batch_size, batch_tokens, count):
            placed = request.placed(prediction.entities, chosen.threshold)
            found[request.document][run] += sets[request.document].named(placed)
        return [[self._resolved(entities, chosen) for entities in own] for own in found]

    def options(self, canvas: str | None, decoding: str | None, steps: int | None, **others: Any) -> Options:
        """Return checked options, defaults filled in; GLiNER's ``flat_ner`` and ``multi_label`` are known."""
        canvas, own = own_options(canvas, {name: scalar(value) for name, value in others.items()})
        return checked_options(self.settings, canvas or self.canvas, decoding, scalar(steps), own)

    def predict(
        self,
        documents: Sequence[tuple[Sequence[str], str]],
        options: Options,
        batch_size: int,
        batch_tokens: int | None = None,
    ) -> Iterator[tuple[Request, Prediction]]:
        """Yield the prediction of every request that (types, text) documents need, in no fixed order.

        A grounded answer that is too long for the longest canvas is asked for again in two halves of its
        text; what cannot be halved is marked as truncated, and a warning says so.
        """
        for request, _, prediction in self._predict(documents, options, batch_size, batch_tokens, 1):
            yield request, prediction

    def _predict(
        self,
        documents: Sequence[tuple[Sequence[str], str]],
        options: Options,
        batch_size: int,
        batch_tokens: int | None,
        runs: int,
    ) -> Iterator[tuple[Request, int, Prediction]]:
        """Yield every prediction with its request and the number of its run."""
        batch_size = positive("batch_size", scalar(batch_size))
        if batch_tokens is not None:
            batch_tokens = positive("batch_tokens", scalar(batch_tokens))
        if options.temperature > 0 and options.seed is None:  # one seed for the whole call
            options = replace(options, seed=int(torch.randint(2**62, ())))
        pending = [(request, range(runs)) for request in plan(self.encoder, documents, self.limits)]
        together = max(1, batch_size // runs)
        cut = 0
        while pending:
            asked = {id(request): numbers for request, numbers in pending}
            again: list[tuple[Request, range]] = []
            budget = None if batch_tokens is None else max(1, batch_tokens // runs)
            for batch in pack([request for request, _ in pending], together, budget):
                rows = [(request, run) for request in batch for run in asked[id(request)]]
                # The runs over one text share its encoding, but not more of them run at once than asked for.
                most = batch_size
                if batch_tokens is not None:
                    most = min(most, max(1, batch_tokens // batch[0].size))
                prompts, numbers = [request.prompt for request, _ in rows], [run for _, run in rows]
                predictions = self.decoder.predict(prompts, options, numbers, most)
                for (request, run), prediction in zip(rows, predictions, strict=True):
                    prediction.forwards += request.spent
                    # A plain completion stays what the network made of the text, as a baseline must.
                    halves = []
                    if prediction.truncated and options.decoding == GROUNDED:
                        halves = split(self.encoder, request, prediction.forwards)
                    again += [(half, range(run, run + 1)) for half in halves]
                    if not halves:
                        cut += prediction.truncated
                        yield request, run, prediction
            pending = again
        if cut:
            warnings.warn(
                f"{cut} answer(s) fill the longest canvas of this model and may lack entities; "
                "ask for fewer labels at a time, or use canvas='aligned' where the model has it",
                stacklevel=2,
            )

    @staticmethod
    def _resolved(entities: list[Entity], options: Options) -> list[dict]:
        """Return the entities of one text as users get them."""
        resolve = nested if options.nested else flat
        return [entity.as_dict() for entity in resolve(entities, options.overlaps)]

    def warm_up(self, labels: Sequence[str] = ("entity",), words: Sequence[int] = (8, 32, 128)) -> None:
        """Answer texts of these lengths, so that memory and kernels are there when the first real one comes.

        Args:
            labels: types of the kind that will be asked for; their number counts.
            words: lengths of the texts.
        """
        for count in words:
            self.predict_entities(" ".join(["word"] * count), labels)

    def stream(
        self,
        text: str,
        labels: Labels,
        *,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        **options: Any,
    ) -> Iterator[dict]:
        """Yield the canvas after each denoising step.

        Each step is ``{"step", "steps", "slots", "entities"}``: ``slots`` are
        ``{"text", "symbol", "revealed", "confidence"}``, one a word (aligned) or a token (completion);
        ``entities`` are those of the best prediction of the canvas so far. A text of several windows is
        streamed window after window; a completion that proves too long for its canvas starts again at step 1
        on a longer one.
        """
        threshold = options.pop("threshold", 0.0)
        chosen = self.options(canvas, decoding, steps, threshold=least_score(threshold), **options)
        _, (own,) = _documents([text], labels, threshold, chosen.canvas)
        for request in plan(self.encoder, [(own.names, text)], self.limits):
            for step in self.decoder.stream(request.prompt, chosen):
                prediction = self.decoder.interpret([request.prompt], chosen, step)[0]
                entities = list(own.named(request.placed(prediction.entities, chosen.threshold)))
                slots = self.decoder.slots(request.prompt, chosen, step)
                yield {
                    "step": step.number + 1,
                    "steps": chosen.steps,
                    "slots": own.spelled(slots) if chosen.canvas == "aligned" else slots,
                    "entities": self._resolved(entities, chosen),
                }


def _check_vocabulary(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    # Added tokens aside: text never becomes one, and tokenizers are saved with some that nothing uses.
    added = tokenizer.get_added_vocab()
    used = (item for item in tokenizer.get_vocab().items() if item[0] not in added)
    token, last = max(used, key=lambda item: item[1], default=("", -1))
    if not 0 <= last < rows:
        raise ValueError(
            f"the tokenizer's token {token!r:.80} has the number {last}, but the network has {rows} "
            "embeddings: the tokenizer belongs to another model; download both again"
        )


def _documents(texts: Any, labels: Any, threshold: Any, canvas: str) -> tuple[list[str], list[LabelSet]]:
    """Return checked texts and the labels of each."""
    if isinstance(texts, str):
        raise TypeError("texts must be a list of strings; for one text use predict_entities")
    texts = values(texts)
    if not isinstance(texts, list):
        raise TypeError(f"texts must be a list of strings, got {texts!r:.60} of type {type(texts).__name__}")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number} must be a string, got {text!r:.60} of type {type(text).__name__}")
        if len(text) > MAX_TEXT_LENGTH:
            raise ValueError(
                f"text {number} has {len(text):,} characters, more than {MAX_TEXT_LENGTH:,}; "
                "cut it into documents, for example its chapters"
            )
    return texts, label_sets(labels, len(texts), threshold, canvas)
