"""The denoising loop."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from .config import DecodingConfig
from .heads import candidate_logits
from .network import Denoiser
from .projection import FreeProjection, Projection
from .row_noise import RowNoise
from .state import (
    SMALL_BATCH_SLOTS,
    DenoisingStep,
    Part,
    State,
    answer_lengths,
    fitted_slots,
    group_by_width,
)
from .tagging import OUTSIDE
from .unmasking import Rules, Slots, remasking_budget, remasking_share, top_slots


@dataclass
class Prediction:
    """What the network says about a part's canvas, ``[rows, slots]`` each; only masked slots count.

    ``choice`` are symbol numbers, ``chosen`` their probabilities, ``scores`` the order in which slots are
    revealed, ``cost`` what the adaptive rule says that revealing a slot costs.
    """

    choice: torch.Tensor
    chosen: torch.Tensor
    scores: torch.Tensor
    cost: torch.Tensor | None
    states: torch.Tensor | None
    log_probs: torch.Tensor | None


@torch.no_grad()
def denoise(
    denoiser: Denoiser,
    config: DecodingConfig,
    rules: Rules,
    projection: Projection,
    candidates: torch.Tensor | None,
    noise: RowNoise | None = None,
) -> Iterator[DenoisingStep]:
    """Yield the canvas after each step, from all masks to none.

    Args:
        denoiser: the network over a batch of prompts and their canvas.
        config: how it is denoised.
        rules: which slots a step reveals.
        projection: what a canvas may hold.
        candidates: the token ids that symbol numbers stand for, ``[batch, symbols]``; None: the
            vocabulary itself.
        noise: of the sampling, needed with a temperature.

    Raises:
        ValueError: there is a temperature and no noise.
    """
    if config.temperature > 0 and noise is None:
        raise ValueError("sampling with a temperature needs noise: a stream for each row (RowNoise)")
    canvas, checkpoint = denoiser.canvas, denoiser.settings
    aligned = canvas.kind == "aligned"
    fill = checkpoint.outside_token_id if aligned else checkpoint.pad_token_id
    ids = torch.where(canvas.mask, checkpoint.mask_token_id, fill)
    batch = len(ids)
    every = torch.arange(batch, device=ids.device)
    if candidates is None:
        symbols = torch.full_like(every, denoiser.model.get_input_embeddings().weight.shape[0])
    else:
        symbols = (candidates >= 0).sum(1)
    parts = [Part(every, denoiser, projection, candidates, symbols)]
    known = torch.full_like(ids, -1)
    sure = torch.zeros(ids.shape, dtype=torch.float32, device=ids.device)
    never = torch.zeros(batch, dtype=torch.bool, device=ids.device)
    owed = torch.full((batch,), 0.5, device=ids.device)
    state = State(ids, canvas.mask.clone(), canvas.mask.clone(), known, sure, known, never, every * 0, owed)
    for number in range(config.steps):
        for part in parts:
            _advance(state, part, config, rules, number, noise)
        if config.fit_canvas and number == 0 and config.steps > 1:
            _fit(state, parts[0])
            parts = _regrouped(state, parts)
        step = state.step(number)
        if config.remasking:
            _remask(state, config, number, checkpoint.mask_token_id)
        state.done = state.done | ~state.open.any(1)
        running = batch - int(state.done.sum())
        step.last = not running or number + 1 == config.steps
        yield step
        if step.last:
            break
        if config.compact and running < sum(len(part.rows) for part in parts):
            parts = _compacted(state, parts)


def _advance(
    state: State, part: Part, config: DecodingConfig, rules: Rules, number: int, noise: RowNoise | None
) -> None:
    """Take one step for the rows of a part."""
    rows, width = part.rows, part.denoiser.canvas.mask.shape[1]
    open_ = state.open[rows, :width]
    known, ids = state.known[rows, :width], state.ids[rows, :width]
    # 1. Predict every masked slot, in fp32, and choose symbols that may stand together.
    found = _predict(part, config, rules, number, ids, open_, known, noise)
    # 2. Reveal the surest slots, as many as this row's budget says.
    choice = found.choice.clamp(min=0)  # a slot that does not exist has no symbol
    token = choice if part.candidates is None else part.candidates.gather(1, choice)
    padding = token == part.denoiser.settings.pad_token_id
    slots = Slots(rows, number, open_, found.chosen, found.scores, found.cost)
    reveal = _reveal(slots, padding, config, rules)
    if rules.adaptive is not None and part.denoiser.canvas.kind == "aligned" and number > 0:
        # 3. A tagging that the last step did not change is final.
        same = (choice == state.choice[rows, :width]).all(1)
        reveal = torch.where(same[:, None], open_, reveal)
        final = same | state.done[rows]
    else:
        final = state.done[rows]
    if isinstance(part.projection, FreeProjection):
        # As in the official code: a slot whose best symbol is the mask itself stays open.
        reveal = reveal & (token != part.denoiser.settings.mask_token_id)
    state.forwards = state.forwards.index_add(0, rows, (~state.done[rows]).long())
    state.put("ids", part, torch.where(reveal, token, ids))
    state.put("known", part, torch.where(reveal, choice, known))
    state.put("confidence", part, torch.where(reveal, found.chosen, state.confidence[rows, :width]))
    state.put("choice", part, choice)
    state.put("open", part, open_ & ~reveal)
    if found.states is not None:
        state.put("states", part, found.states)
    if found.log_probs is not None:
        kept = found.log_probs
        if state.log_probs is not None:
            kept = torch.where(open_[..., None], kept, state.log_probs[rows, :width])
        state.put("log_probs", part, kept)
    state.done = state.done.index_put((rows,), final)


def _predict(
    part: Part,
    config: DecodingConfig,
    rules: Rules,
    number: int,
    ids: torch.Tensor,
    open_: torch.Tensor,
    known: torch.Tensor,
    noise: RowNoise | None,
) -> Prediction:
    canvas, free = part.denoiser.canvas, isinstance(part.projection, FreeProjection)
    hidden = part.denoiser.hidden(ids)
    # The output layer runs on masked slots only: what is revealed needs no logits.
    count = open_.shape[1] if number == 0 else int(open_.sum(1).max())
    slots = _first(open_, count)
    asked = open_.gather(1, slots)
    log_probs = _log_probs(part, config, number, _take(hidden, slots))
    if free and rules.schedule.finishes and number + 1 == config.steps:
        log_probs = _without_mask(part, log_probs)
    perturbed = log_probs
    if config.temperature > 0 and noise is not None:
        perturbed = noise.perturb(log_probs, config.temperature, part.rows.tolist(), asked, part.symbols)
    if free:
        choice, states = part.projection(perturbed, torch.full_like(slots, -1), asked).choice, None
        chosen, scores, cost = _surest(log_probs, choice, rules)
        return Prediction(
            known.scatter(1, slots, torch.where(asked, choice, known.gather(1, slots))),
            _spread(chosen, slots, open_),
            _spread(scores, slots, open_),
            None if cost is None else _spread(cost, slots, open_),
            states,
            None,
        )
    # The slots are decided together: known ones take part, whatever the network would say of them.
    everywhere = _spread(log_probs, slots, open_)
    given = everywhere if perturbed is log_probs else _spread(perturbed, slots, open_)
    proposal = part.projection(given, known, canvas.mask)
    chosen, scores, cost = _surest(everywhere, proposal.choice, rules)
    return Prediction(
        proposal.choice,
        chosen,
        scores,
        cost,
        proposal.states,
        everywhere if canvas.kind == "aligned" else None,
    )


def _surest(
    log_probs: torch.Tensor, choice: torch.Tensor, rules: Rules
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return the probabilities of the chosen symbols, the order in which slots are revealed, and the cost."""
    chosen = log_probs.gather(2, choice[..., None])[..., 0].exp()
    # The network's best symbol need not be the one that is written.
    scores = chosen if rules.algorithm is None else rules.algorithm.run(log_probs)
    cost = None
    if rules.adaptive is not None and rules.adaptive.cost is not None:
        cost = rules.adaptive.cost(log_probs, chosen)
    return chosen, scores, cost


def _reveal(slots: Slots, padding: torch.Tensor, config: DecodingConfig, rules: Rules) -> torch.Tensor:
    """Return which masked slots this step reveals, bool ``[rows, slots]``.

    Args:
        slots: of which all open ones are eligible.
        padding: which of them would show padding. Where the schedule lets padding wait, it is revealed with
            the last of a row's answer.
    """
    open_ = slots.eligible
    if rules.schedule.padding_waits:
        slots = replace(slots, eligible=open_ & ~padding)
    budget = rules.schedule.run(slots, config)
    # An adaptive rule reveals more than the schedule's share where it can: the schedule is the longest that a
    # row can take.
    if rules.adaptive is not None:
        budget = budget.maximum(rules.adaptive.run(slots, config))
    reveal = top_slots(slots.scores, slots.eligible, budget)
    if not rules.schedule.padding_waits:
        return reveal
    return torch.where((slots.eligible & ~reveal).any(1, keepdim=True), reveal, open_)


def _remask(state: State, config: DecodingConfig, number: int, mask_id: int) -> None:
    """Mask the least sure revealed slots of each running row again."""
    revealed = state.mask & ~state.open & ~state.done[:, None]
    share = remasking_share(number, config.steps)
    budget, state.owed = remasking_budget(revealed.sum(1), share, state.owed)
    again = top_slots(-state.confidence, revealed, budget)
    state.ids = state.ids.masked_fill(again, mask_id)
    state.known = state.known.masked_fill(again, -1)
    state.confidence = state.confidence.masked_fill(again, 0.0)
    state.open = state.open | again


def _fit(state: State, part: Part) -> None:
    """Cut each canvas to its answer's bucket: what lies behind is padding, and no slot any more."""
    pad = part.denoiser.settings.pad_token_id
    choice = state.choice
    draft = choice if part.candidates is None else part.candidates.gather(1, choice)
    slots = fitted_slots(answer_lengths(draft, state.mask, pad), state.mask.sum(1))
    beyond = state.mask & (torch.arange(state.ids.shape[1], device=slots.device) >= slots[:, None])
    state.ids = state.ids.masked_fill(beyond, pad)
    state.open, state.mask = state.open & ~beyond, state.mask & ~beyond


def _regrouped(state: State, parts: list[Part]) -> list[Part]:
    """Return the rows grouped by the width of their fitted canvases."""
    (part,) = parts
    widths = state.mask.sum(1).tolist()
    small = 0 if state.ids.device.type == "cpu" else SMALL_BATCH_SLOTS
    if part.denoiser.packed is not None:  # packed rows have no padding to be saved
        small = state.ids.numel()
    groups = []
    for rows, width in group_by_width(widths, small):
        group = part.select(torch.tensor(rows, device=state.ids.device), width)
        group.denoiser.canvas = replace(group.denoiser.canvas, mask=state.mask[group.rows, :width])
        groups.append(group)
    return groups


def _compacted(state: State, parts: list[Part]) -> list[Part]:
    """Return the parts without the rows that are done, and without the slots that only those had."""
    left = []
    for part in parts:
        rows = (~state.done[part.rows]).nonzero()[:, 0]
        if len(rows) == len(part.rows):
            left.append(part)
        elif len(rows):
            existing = part.denoiser.canvas.mask[rows].any(0).nonzero()
            left.append(part.select(rows, int(existing.max()) + 1))
    return left


def _log_probs(part: Part, config: DecodingConfig, number: int, hidden: torch.Tensor) -> torch.Tensor:
    """Return normalised log-probabilities ``[rows, slots, symbols]``, penalty and bias applied."""
    denoiser, candidates = part.denoiser, part.candidates
    canvas = denoiser.canvas
    assert denoiser.prompt_hidden is not None  # the network has run
    logits = candidate_logits(
        denoiser.model, canvas, denoiser.prompt, denoiser.prompt_hidden, hidden, candidates
    )
    if canvas.kind == "aligned":
        bias = config.outside_bias
        logits[..., OUTSIDE] += denoiser.settings.outside_bias if bias is None else bias
    elif config.pad_penalty > 0:
        penalty = config.pad_penalty * (config.steps - number) / config.steps
        pad = denoiser.settings.pad_token_id
        if candidates is None:
            logits[..., pad] -= penalty
        else:
            logits -= penalty * (candidates == pad)[:, None].to(logits.dtype)
    return logits.log_softmax(-1)


def _without_mask(part: Part, log_probs: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities under which no slot takes the mask for its symbol, else unchanged."""
    mask_id = part.denoiser.settings.mask_token_id
    if part.candidates is None:
        symbols = torch.arange(log_probs.shape[-1], device=log_probs.device)[None]
    else:
        symbols = part.candidates
    return log_probs.masked_fill((symbols == mask_id)[:, None], float("-inf"))


def _first(marked: torch.Tensor, count: int) -> torch.Tensor:
    """Return each row's first ``count`` marked slots, filled up with others, ``[rows, count]``."""
    return (~marked).sort(dim=1, stable=True).indices[:, :count]


def _take(values: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    return values.gather(1, slots[..., None].expand(-1, -1, values.shape[-1]))


def _spread(values: torch.Tensor, slots: torch.Tensor, open_: torch.Tensor) -> torch.Tensor:
    """Return values of some slots at their places among all, ``[rows, slots, ...]``; 0 elsewhere."""
    whole = values.new_zeros(*open_.shape, *values.shape[2:])
    index = slots.view(*slots.shape, *[1] * (values.dim() - 2)).expand_as(values)
    return whole.scatter(1, index, values)
