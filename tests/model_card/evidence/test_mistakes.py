"""Every mention gets one class of mistake, the mildest that fits."""

from hypothesis import given
from hypothesis import strategies as st

from model_card.evidence.mistakes import GOLD, Span, classes

SPANS = st.lists(
    st.builds(
        lambda start, length, kind: Span(start, start + length, kind),
        st.integers(0, 8),
        st.integers(1, 4),
        st.sampled_from("ab"),
    ),
    max_size=6,
    unique=True,
)


def test_each_class() -> None:
    gold = [Span(0, 3, "a"), Span(4, 8, "a"), Span(10, 14, "a"), Span(20, 24, "a"), Span(30, 32, "a")]
    predicted = [Span(0, 3, "a"), Span(4, 8, "b"), Span(10, 12, "a"), Span(21, 24, "b"), Span(40, 44, "a")]
    assert classes(gold, predicted, "missed") == list(GOLD)
    assert classes(predicted, gold, "spurious") == ["right", "type", "boundary", "both", "spurious"]


@given(SPANS, SPANS)
def test_both_sides_agree(gold: list[Span], predicted: list[Span]) -> None:
    mine, theirs = classes(gold, predicted, "missed"), classes(predicted, gold, "spurious")
    assert mine.count("right") == theirs.count("right") == len(set(gold) & set(predicted))
    # A mention that nothing touches is missed; whatever is touched is something else.
    touched = [any(g.overlaps(p) for p in predicted) for g in gold]
    assert [kind != "missed" for kind in mine] == touched
