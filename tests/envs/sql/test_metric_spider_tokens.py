"""The words of a query, against what NLTK 3.10.4 with the official script's masking of strings returned for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.metrics.spider_tokens import LONGEST_QUERY, SpiderSyntaxError, tokenize

OFFICIAL_WORDS = {
    "SELECT a FROM b WHERE c >= 3.5 AND d != 'It is'": (
        ["select", "a", "from", "b", "where", "c", ">=", "3.5", "and", "d", "!=", '"It is"']
    ),
    "a>=1": ["a", ">", "=1"],
    "a=1": ["a=1"],
    "a > = 1": ["a", ">=", "1"],
    "a >= = 1": ["a", ">=", "=", "1"],
    "count(*)": ["count", "(", "*", ")"],
    "IN (1,2)": ["in", "(", "1,2", ")"],
    "IN (1, 2)": ["in", "(", "1", ",", "2", ")"],
    "T1.name,T2.x": ["t1.name", ",", "t2.x"],
    "x = 'a' 'b'": ["x", "=", '"a"', '"b"'],
    "x = 'a''b'": ["x", "=", "__val_4_6____val_7_9__"],
    "name='x'": ["name=__val_5_7__"],
    "ORDER BY name.": ["order", "by", "name", "."],
    "ORDER BY name. This sorts": ["order", "by", "name", ".", "this", "sorts"],
    "age > 3. AND b": ["age", ">", "3", ".", "and", "b"],
    "age > 3. and b": ["age", ">", "3.", "and", "b"],
    "age > 3.)": ["age", ">", "3", ".", ")"],
    "x. y": ["x.", "y"],
    "a.. b": ["a", "..", "b"],
    "a cannot b": ["a", "can", "not", "b"],
    "a--b": ["a", "--", "b"],
    "`a b`": ["`", "a", "b", "`"],
    "limit 1;": ["limit", "1", ";"],
}


@pytest.mark.parametrize("text", OFFICIAL_WORDS)
def test_the_words_are_the_official_ones(text: str) -> None:
    assert tokenize(text) == OFFICIAL_WORDS[text]


@given(st.lists(st.sampled_from(["a", "T1.b", "=", "!=", ">=", "(", ")", ",", ";", "*", "'x y'", "12", "0.5"])))
def test_words_with_spaces_between_stay_as_they_are(words: list[str]) -> None:
    assert tokenize(" ".join(words)) == [word.lower().replace("'", '"') for word in words]


@given(st.text())
def test_any_text_has_words_or_is_a_syntax_error(text: str) -> None:
    try:
        assert all(word and not word.isspace() for word in tokenize(text))
    except SpiderSyntaxError:
        assert (text.count("'") + text.count('"')) % 2


def test_text_without_end_is_a_syntax_error() -> None:
    with pytest.raises(SpiderSyntaxError):
        tokenize("a" * (LONGEST_QUERY + 1))
