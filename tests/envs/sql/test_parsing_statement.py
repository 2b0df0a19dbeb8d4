"""Parsing of ordinary and of hostile text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.parsing import statement as module
from envs.sql.parsing.statement import QUERY_BYTES, QUERY_TOKENS, has_unary_plus, parse_statement, token_text

DIALECTS = ("sqlite", "duckdb", "postgres")

# Units that sqlglot backtracks over: unbounded, twenty of them take it minutes.
BACKTRACKING = ("JOIN a ", "VARCHAR(", "DECIMAL( ", "STRUCT( ", "UNION ( ", "DATE ( ", "IF + ", "'x' JOIN DEFAULT ")
NESTING = ("(", "f(", "NOT ", "- ", "CASE WHEN ", "SELECT * FROM (", "a IN (", "EXISTS (SELECT ", "{", "[", "INTERVAL ")
FLAT = (
    "a,",
    "a.",
    "a AND ",
    "a<",
    "--",
    "--\n",
    "/*",
    "''",
    ";",
    "UNION SELECT 1 ",
    "::int",
    "$",
    "@",
    "x -> ",
    "SET ",
)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_query_has_a_tree_and_no_error(dialect: str) -> None:
    parsed = parse_statement("SELECT a FROM t WHERE b = 1;", dialect)
    assert parsed.error is None and parsed.tree is not None
    assert parsed.tree.sql() == "SELECT a FROM t WHERE b = 1"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "not a query"),
        (";", "not a query"),
        ("I cannot say.", "not a query"),
        ("DROP TABLE t", "not a query"),
        ("SELECT 1; SELECT 2", "not a query"),
        ("WITH x AS (SELECT 1) DELETE FROM t", "not a query"),
        ("VALUES (1)", "not a query"),
        ("SELECT (", "syntax"),
        ("SELECT 'open", "syntax"),
        ("SELECT a FROM t WHERE", "syntax"),
        ("SELECT '" + "a" * QUERY_BYTES + "'", "too long"),
        ("SELECT '" + "é" * (QUERY_BYTES // 2) + "'", "too long"),
        ("SELECT 1" + ", 1" * QUERY_TOKENS, "too complex"),
        ("SELECT 1 FROM a" + " JOIN a" * 100, "too complex"),
        ("SELECT " + "(" * 500 + "1" + ")" * 500, "too complex"),
    ],
)
def test_what_is_no_query_has_an_error(text: str, error: str) -> None:
    parsed = parse_statement(text, "sqlite")
    assert (parsed.tree, parsed.error) == (None, error)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("unit", BACKTRACKING + NESTING + FLAT)
@pytest.mark.parametrize("repetitions", [20, 100, 2_000])
def test_the_parser_moves_a_bounded_number_of_steps(
    monkeypatch: pytest.MonkeyPatch, dialect: str, unit: str, repetitions: int
) -> None:
    steps = 0
    bounded = module._bounded_parser(dialect)
    advance = bounded._advance

    def count(self: object, times: int = 1) -> None:
        nonlocal steps
        steps += 1
        advance(self, times)

    monkeypatch.setattr(bounded, "_advance", count)
    module._parse("SELECT 1 FROM a WHERE " + unit * repetitions, dialect)
    module._parse("SELECT * FROM " + unit * repetitions, dialect)
    assert steps <= 2 * (module.PARSER_STEPS + module.PARSER_STEPS_PER_TOKEN * QUERY_TOKENS + 1)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=100, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                [*BACKTRACKING, *NESTING, *FLAT, ")", "END", " FROM t ", " a ", "1", "\x00", "\ud800", '"']
            ),
            max_size=12,
        ).map(lambda units: "SELECT " + "".join(units)),
    )
)
def test_no_text_raises(dialect: str, text: str) -> None:
    parsed = parse_statement(text, dialect)
    assert (parsed.tree is None) == (parsed.error is not None)
    token_text(text, dialect)


def test_an_unsupported_command_inside_a_query_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert parse_statement("WITH x AS (CREATE FOO BAR) SELECT 1", "sqlite").tree is None
    assert not caplog.records


@pytest.mark.parametrize("dialect", DIALECTS)
def test_white_space_case_and_comments_do_not_change_the_token_text(dialect: str) -> None:
    one = token_text("SELECT a FROM t WHERE b = 'It''s' GROUP BY a", dialect)
    assert token_text("select  A\nfrom T /* c */ where B='It''s' group   by a ; ; -- end", dialect) == one


@pytest.mark.parametrize(
    "other", ["SELECT 'A'", 'SELECT "a"', "SELECT a", "SELECT 'a' AS b", "SELECT 'a', 'a'", "SELECT ' a'"]
)
def test_different_tokens_have_different_texts(other: str) -> None:
    assert token_text(other, "sqlite") != token_text("SELECT 'a'", "sqlite")


def test_a_text_that_cannot_be_tokenized_keeps_its_words() -> None:
    assert token_text("SELECT  'Open ", "sqlite") == "SELECT 'Open"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT +a FROM t", True),
        ("SELECT a + +b FROM t", True),
        ("SELECT a + b FROM t", False),
        ("SELECT '+' FROM t", False),
        ("SELECT 1e+5 FROM t", False),
    ],
)
def test_a_unary_plus_is_found(query: str, expected: bool) -> None:
    tree = parse_statement(query, "sqlite").tree
    assert tree is not None
    assert has_unary_plus(query, tree, "sqlite") is expected
