"""Times and masks: evenly spread, and the same however the global batch is split."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.training.masking import BatchPlace, Noise


def gaps(numbers: torch.Tensor) -> torch.Tensor:
    """Return the distances between neighbours on the circle."""
    ordered = numbers.double().sort().values
    return torch.cat([ordered.diff(), ordered[:1] + 1 - ordered[-1:]])


@given(st.integers(1, 64), st.integers(0, 2**31), st.booleans())
def test_even_numbers_cover_the_interval_evenly(count, seed, placed):
    torch.manual_seed(seed)
    numbers = Noise("cpu", BatchPlace(seed) if placed else None).even(count, "times")
    assert numbers.shape == (count,)
    assert 0 <= float(numbers.min()) <= float(numbers.max()) < 1
    # Low discrepancy: one in each of ``count`` equal parts of the (circular) interval.
    torch.testing.assert_close(gaps(numbers), torch.full((count,), 1 / count).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("placed", [False, True])
def test_each_number_alone_is_uniform(placed):
    sources = [Noise("cpu", BatchPlace(seed, 3, 8) if placed else None) for seed in range(2000)]
    first = torch.stack([noise.even(4, "times")[0] for noise in sources])
    # Three standard errors of the mean of 2,000 uniform draws.
    assert float(first.mean()) == pytest.approx(0.5, abs=3 * (1 / 12 / 2000) ** 0.5)
    assert float(first.var()) == pytest.approx(1 / 12, rel=0.1)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_the_split_of_the_global_batch_changes_nothing(sizes, seed):
    total = sum(sizes)
    whole = Noise("cpu", BatchPlace(seed, 0, total))
    offset, parts = 0, []
    for size in sizes:
        noise = Noise("cpu", BatchPlace(seed, offset, total))
        parts.append((noise.even(size, "a"), noise.rows(size, "b"), noise.slots((size, 7), "c")))
        offset += size
    expected = whole.even(total, "a"), whole.rows(total, "b"), whole.slots((total, 7), "c")
    for found, wanted in zip(zip(*parts, strict=True), expected, strict=True):
        assert torch.equal(torch.cat(found), wanted)


def test_a_slots_number_does_not_depend_on_the_padding_behind_it():
    noise = Noise("cpu", BatchPlace("run-1"))
    assert torch.equal(noise.slots((3, 40), "slots")[:, :5], noise.slots((3, 5), "slots"))


def test_rows_names_and_seeds_draw_apart():
    def draw(seed: int, offset: int, name: str) -> list[float]:
        return Noise("cpu", BatchPlace(seed, offset)).slots((1, 6), name)[0].tolist()

    draws = [draw(s, o, n) for s in (0, 1) for o in (0, 1) for n in ("a", "b")]
    assert len({tuple(numbers) for numbers in draws}) == len(draws)
    # Without a total, batches are spread each by itself, and not all alike.
    batches = [Noise("cpu", BatchPlace(0, offset)).even(4, "a") for offset in (0, 4)]
    assert not torch.equal(*batches)


def test_without_a_place_the_numbers_follow_torchs_seed():
    def draw() -> list[torch.Tensor]:
        noise = Noise("cpu")
        return [noise.even(4, "a"), noise.rows(4, "a"), noise.slots((4, 2), "a")]

    torch.manual_seed(5)
    first, second = draw(), draw()
    torch.manual_seed(5)
    again = draw()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_no_rows_have_no_numbers():
    assert Noise("cpu").even(0, "a").shape == (0,)
    assert Noise("cpu", BatchPlace(0)).even(0, "a").shape == (0,)


def test_rows_outside_the_global_batch_are_refused():
    with pytest.raises(ValueError, match="rows 6 to 10 do not lie in a global batch of 8 rows"):
        Noise("cpu", BatchPlace(0, 6, 8)).even(4, "times")
