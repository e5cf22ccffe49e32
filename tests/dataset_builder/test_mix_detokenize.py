"""Rendering tokens as text: exact offsets for every input, and natural spacing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.mix.detokenize import normalize_token, render

TOKENS = st.lists(
    st.one_of(
        st.sampled_from(
            [".", ",", '"', "'", "s", "(", ")", "-", "/", ":", "n't", "'s", "$", "U", "2", "500", "#", "@"]
        ),
        st.text(min_size=1, max_size=6).map(normalize_token).filter(bool),
    ),
    min_size=1,
    max_size=30,
)


@given(TOKENS, st.booleans(), st.booleans())
def test_offsets_give_back_every_token(tokens: list[str], natural: bool, split_words: bool) -> None:
    text, offsets = render(tokens, natural, split_words)
    assert [text[start:end] for start, end in offsets] == tokens


@given(TOKENS, st.booleans(), st.booleans())
def test_only_single_spaces_are_added_between_tokens(
    tokens: list[str], natural: bool, split_words: bool
) -> None:
    text, offsets = render(tokens, natural, split_words)
    assert offsets[0][0] == 0
    assert offsets[-1][1] == len(text)
    for (_, end), (start, _) in itertools.pairwise(offsets):
        assert text[end:start] in ("", " ")


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("He said ( twice ) : no , it is n't .", "He said (twice): no, it isn't."),
        ('The " Silver Ghost " is fast .', 'The "Silver Ghost" is fast.'),
        ("The company 's price rose to $ 5 !", "The company's price rose to $5!"),
        ("It ' s here , and we ' re not", "It's here, and we're not"),
        ("born in 1980 , 1981 and 1982 .", "born in 1980, 1981 and 1982."),
    ],
)
def test_natural_spacing(tokens: str, text: str) -> None:
    assert render(tokens.split(), natural=True)[0] == text


@pytest.mark.parametrize(
    ("tokens", "natural", "spaced"),
    [
        ("a long - term IL - 12 test .", "a long-term IL-12 test.", "a long-term IL-12 test ."),
        ("the U . S . Navy at 7 : 30", "the U.S. Navy at 7:30", "the U.S. Navy at 7:30"),
        ("$ 2 , 000 in 1990 , 1991", "$2,000 in 1990, 1991", "$ 2,000 in 1990 , 1991"),
        ("read / write at 2 . 5 mg", "read/write at 2.5 mg", "read/write at 2.5 mg"),
    ],
)
def test_words_that_the_tokeniser_split_are_joined_in_both_styles(
    tokens: str, natural: str, spaced: str
) -> None:
    assert render(tokens.split(), natural=True, split_words=True)[0] == natural
    assert render(tokens.split(), natural=False, split_words=True)[0] == spaced


def test_spaced_text_is_the_tokens_with_spaces() -> None:
    tokens = ["A", "dash", "-", "stays", "-", "where", "(", "it", ")", "was", "."]
    assert render(tokens, natural=False)[0] == " ".join(tokens)


@pytest.mark.parametrize(
    ("token", "normal"),
    [
        ("-LRB-", "("),
        ("``", '"'),
        ("{@Taylor  Swift@}", "Taylor Swift"),
        ("{{USERNAME}}", "@user"),
        ("\u00a0", ""),
    ],
)
def test_tokens_are_normalised(token: str, normal: str) -> None:
    assert normalize_token(token) == normal
