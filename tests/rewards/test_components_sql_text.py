"""Components that read the text of an SQL answer: n-gram overlap and the length term of SQL-R1."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.layout import Tags, read_layout
from envs.sql.answer import extract_query
from envs.sql.judge import SqlVerdict
from envs.transcript import Transcript
from rewards.sql_length import SqlR1Length
from rewards.sql_similarity import NgramOverlap

TAGS = Tags(reasoning="think", must_reason=True, answer="answer")
GOLD = "SELECT name FROM singer WHERE age > 20"


def overlap(answer: str | None, gold: str | None = GOLD, n: int = 2) -> float | None:
    return NgramOverlap(n=n).component().measure(SqlVerdict(answer=answer, gold=gold))


@pytest.mark.parametrize(
    ("answer", "gold", "n", "expected"),
    [
        (GOLD, GOLD, 2, 1.0),
        ("select  NAME\nfrom singer where age>20", GOLD, 2, 1.0),
        ("SELECT name FROM singer", GOLD, 2, 3 / 7),
        ("SELECT name FROM singer", GOLD, 1, 4 / 8),
        ("SELECT name FROM singer", GOLD, 3, 2 / 6),
        ("DELETE", GOLD, 2, 0.0),
        ("SELECT", "SELECT", 2, 1.0),
        ("SELECT 'a b'", "SELECT 'a  b'", 2, 0.0),
        ("SELECT 'it''s'", "SELECT 'it''s'", 2, 1.0),
        (None, GOLD, 2, 0.0),
    ],
)
def test_ngram_overlap_is_the_jaccard_overlap_of_ngrams_of_tokens(
    answer: str | None, gold: str, n: int, expected: float
) -> None:
    assert overlap(answer, gold, n) == pytest.approx(expected)


def test_without_a_gold_there_is_nothing_to_overlap_with() -> None:
    assert overlap(GOLD, None) is None


def test_repeating_the_right_words_does_not_pay() -> None:
    assert overlap("SELECT name FROM singer " * 5) < overlap("SELECT name FROM singer")  # type: ignore[operator]


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 4))
def test_overlap_is_symmetric_and_lies_between_0_and_1(first: str, second: str, n: int) -> None:
    value = overlap(first, second, n)
    assert value is not None and 0 <= value <= 1 and value == overlap(second, first, n)
    assert overlap(first, first, n) == 1.0


def test_a_hostile_answer_ends() -> None:
    value = overlap("'" * 1_000_001)
    assert value is not None and 0 <= value < 0.1


def test_ngrams_of_no_token_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="ngram_overlap: n is 0"):
        NgramOverlap(n=0)


def verdict(text: str, *, is_correct: bool = True) -> SqlVerdict:
    """What the judge says of a text that ran."""
    layout = read_layout(Transcript.of(text), TAGS)
    answer = None if layout.answer is None else extract_query(layout.answer)
    return SqlVerdict(answer=answer, layout=layout, is_parsed=True, is_executed=True, is_correct=is_correct)


def laid_out(reasoning: int, talk: int, query: str = "SELECT 1") -> str:
    return f"<think>{'r' * reasoning}</think><answer>{'t' * talk}\n```sql\n{query}\n```</answer>"


def test_sql_r1s_length_has_a_half_for_the_whole_and_a_whole_for_the_query() -> None:
    published = SqlR1Length(limit=100, pays_reasoning=True).component()
    answer = len("t" * 10 + "\n```sql\nSELECT 1\n```")
    expected = (0.5 * (20 + answer) / 100 + len("SELECT 1") / answer) / 1.5
    assert published.measure(verdict(laid_out(20, 10))) == pytest.approx(expected)
    at_most = (0.5 + len("SELECT 1") / answer) / 1.5
    assert published.measure(verdict(laid_out(5_000, 10))) == pytest.approx(at_most)


@pytest.mark.parametrize("pays_reasoning", [False, True])
def test_sql_r1s_length_pays_for_right_answers_only(pays_reasoning: bool) -> None:
    component = SqlR1Length(pays_reasoning=pays_reasoning).component()
    assert component.measure(verdict(laid_out(20, 0))) > 0  # type: ignore[operator]
    assert component.measure(verdict(laid_out(20, 0), is_correct=False)) == 0.0
    assert component.measure(SqlVerdict(error="empty")) == 0.0


@given(st.lists(st.integers(0, 4_000), min_size=2).map(sorted), st.integers(0, 100))
def test_unless_it_is_asked_for_longer_reasoning_does_not_pay(lengths: list[int], talk: int) -> None:
    component = SqlR1Length().component()
    values = [component.measure(verdict(laid_out(length, talk))) for length in lengths]
    assert len(set(values)) == 1


@given(st.lists(st.integers(0, 4_000), min_size=2).map(sorted))
def test_unless_it_is_asked_for_more_talk_pays_less(lengths: list[int]) -> None:
    component = SqlR1Length().component()
    values = [component.measure(verdict(laid_out(10, length))) for length in lengths]
    assert all(0 <= longer <= shorter <= 1 for shorter, longer in pairwise(values))  # type: ignore[operator]


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sql_r1_length: limit is 0"):
        SqlR1Length(limit=0)
