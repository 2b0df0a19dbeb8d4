"""The exploration reward: what is useful pays once, what is of no use never pays."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.layout import Layout, Tags
from envs.sql.environment import SqlEnvironment
from envs.sql.exploration import IntermediateQuery
from envs.sql.judge import SqlVerdict
from rewards.registry import component
from rewards.sql_exploration import Exploration

GOLD = ("singer", "singer.age", "singer.name", "concert")
LOOKS = IntermediateQuery(text="q", is_executed=True, is_informative=True)


def looks(*names: str) -> IntermediateQuery:
    return replace(LOOKS, names=names, written_names=names)


ALL_OF_SINGER = looks("singer", "singer.age", "singer.id", "singer.name")
AGES = looks("singer", "singer.age")
CONCERTS = looks("concert", "concert.year")
STAR = replace(ALL_OF_SINGER, written_names=("singer",))
ANSWER_ITSELF = replace(looks(*GOLD), repeats_answer=True)

FAILED = IntermediateQuery(text="q", error="unknown column", names=GOLD)
EMPTY = IntermediateQuery(text="q", is_executed=True, is_empty=True, names=GOLD, written_names=GOLD)
CONSTANT = IntermediateQuery(text="SELECT 1", is_executed=True)
NULLS = IntermediateQuery(text="q", is_executed=True, names=GOLD, written_names=GOLD)
REPEAT = replace(ALL_OF_SINGER, is_repeat=True)
OTHER_TABLE = looks("stadium", "stadium.name")
CROSS_JOIN = looks(*GOLD, "stadium", "band", "label", "stadium.name")
WASTED = [FAILED, EMPTY, CONSTANT, NULLS, REPEAT, OTHER_TABLE]


def exploration(*queries: IntermediateQuery, gold: tuple[str, ...] = GOLD, steps: int = 0, tolerance: int = 5) -> float:
    verdict = SqlVerdict(answer="x", gold_names=gold, queries=queries, layout=Layout(steps=("q",) * steps))
    value = Exploration(tolerance=tolerance).component().measure(verdict)
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        ((), 0.0),
        ((AGES,), 0.5),
        ((ALL_OF_SINGER,), 0.75),
        ((ALL_OF_SINGER, CONCERTS), 1.0),
        ((AGES, ALL_OF_SINGER, CONCERTS), 1.0),
        ((FAILED, ALL_OF_SINGER, CONCERTS), 0.8),
        ((ANSWER_ITSELF,), 0.0),
        ((ALL_OF_SINGER, ANSWER_ITSELF), 0.75),
        ((CROSS_JOIN,), 0.0),
        ((STAR,), 0.25),
        ((STAR, AGES), 0.5),
    ],
)
def test_the_share_of_needed_names_is_paid_less_what_was_wasted(
    queries: tuple[IntermediateQuery, ...], expected: float
) -> None:
    assert exploration(*queries) == pytest.approx(expected)


@pytest.mark.parametrize("query", WASTED)
def test_a_wasted_query_pays_nothing_and_costs_a_share(query: IntermediateQuery) -> None:
    assert exploration(query) == 0.0
    assert exploration(ALL_OF_SINGER, CONCERTS, query) == pytest.approx(0.8)


def test_after_as_many_wasted_queries_as_are_tolerated_nothing_is_paid() -> None:
    assert exploration(ALL_OF_SINGER, CONCERTS, *[FAILED] * 5) == 0.0
    assert exploration(ALL_OF_SINGER, CONCERTS, *[FAILED] * 9) == 0.0
    assert exploration(ALL_OF_SINGER, CONCERTS, FAILED, tolerance=1) == 0.0


def test_steps_that_were_too_many_to_run_are_wasted() -> None:
    assert exploration(ALL_OF_SINGER, CONCERTS, steps=2) == 1.0
    assert exploration(ALL_OF_SINGER, CONCERTS, steps=4) == pytest.approx(0.6)


@pytest.mark.parametrize("query", [CROSS_JOIN, looks(*GOLD, "stadium"), ANSWER_ITSELF])
def test_one_look_at_everything_and_the_answer_itself_count_neither_way(query: IntermediateQuery) -> None:
    assert exploration(query) == 0.0
    assert exploration(AGES, query) == exploration(AGES)
    assert exploration(FAILED, ALL_OF_SINGER, query) == exploration(FAILED, ALL_OF_SINGER)


NAMES = ("singer", "singer.age", "singer.name", "concert", "stadium", "stadium.name", "band")
queries_of_any_kind = st.builds(
    lambda query, names, **facts: replace(query, names=names, written_names=names, **facts),
    st.sampled_from([LOOKS, FAILED, EMPTY, NULLS]),
    is_repeat=st.booleans(),
    repeats_answer=st.booleans(),
    names=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
)
transcripts = st.lists(queries_of_any_kind, max_size=8)


def adds_nothing(query: IntermediateQuery, earlier: list[IntermediateQuery]) -> bool:
    """It failed, was empty, told nothing, repeated, was the answer, read other tables too, or only what an earlier
    useful query had read."""
    tables = {name for name in query.names if "." not in name}
    is_of_use = (
        query.is_executed
        and not query.is_empty
        and query.is_informative
        and not query.is_repeat
        and not query.repeats_answer
        and bool(tables)
        and tables <= set(GOLD)
    )
    read = {name for other in earlier if not adds_nothing(other, []) for name in other.names}
    return not is_of_use or (bool(earlier) and not (set(query.names) & set(GOLD)) - read)


@given(transcripts, queries_of_any_kind, st.data())
def test_a_query_of_no_use_never_raises_the_value(
    queries: list[IntermediateQuery], padding: IntermediateQuery, data: st.DataObject
) -> None:
    if not adds_nothing(padding, queries):
        return
    place = data.draw(st.integers(0, len(queries)))
    assert exploration(*queries[:place], padding, *queries[place:]) <= exploration(*queries)


@given(transcripts)
def test_the_value_saturates_at_1(queries: list[IntermediateQuery]) -> None:
    assert 0.0 <= exploration(*queries) <= 1.0
    assert exploration(*queries, *queries, *queries) <= exploration(*queries)


@given(transcripts, st.permutations(range(8)))
def test_the_order_of_the_queries_does_not_matter(queries: list[IntermediateQuery], order: list[int]) -> None:
    shuffled = [queries[place] for place in order if place < len(queries)]
    assert exploration(*shuffled) == exploration(*queries)


def test_a_gold_that_names_nothing_leaves_nothing_to_explore() -> None:
    assert Exploration().component().measure(SqlVerdict(answer="x", queries=(AGES,))) is None


def test_a_tolerance_of_no_query_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="exploration: tolerance is 0"):
        Exploration(tolerance=0)


def test_an_environment_without_steps_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'exploration' needs environment\.options\.tags\.step"):
        component(SqlEnvironment(), "exploration")
    component(SqlEnvironment(tags=Tags(step="intermediate_sql")), "exploration")
