"""Plan coverage: E2C's rule, written down a second time, and what keeps cheap plans from being paid."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.layout import Tags, read_layout
from envs.sql.environment import SqlEnvironment
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.plan import PlanCoverage
from rewards.registry import component

TAGS = Tags(plan="EXPLORATION", answer="EXECUTION")
AS_PUBLISHED = PlanCoverage(headings_at_least=1, characters_at_least=0, characters_at_most=1_000_000)
HONEST = PlanCoverage()

PLAN = "1. Find the price of one apple\n2. Multiply by how many were bought\n3. Subtract what was paid\n"
DONE = (
    "1. **Find the price of one apple**\nIt is 3.\n2. Multiply by four\n3 * 4 = 12\n"
    "3. Subtract what was paid\n12 - 2 = \\boxed{10}"
)


def coverage(plan: str, execution: str, options: PlanCoverage = HONEST) -> float:
    text = f"<EXPLORATION>{plan}</EXPLORATION><EXECUTION>{execution}</EXECUTION>"
    layout = read_layout(Transcript.of(text), TAGS)
    value = options.component().measure(Verdict(answer=layout.answer, layout=layout))
    assert value is not None
    return value


def longest_common_subsequence(first: list[str], second: list[str]) -> int:
    """By the table of the textbook."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first, 1):
        for j, other in enumerate(second, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if one == other else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


def published(plan: str, execution: str) -> float:
    """E2C's coverage as its repository describes it, for headings that stand at the beginning of lines."""

    def headings(text: str) -> list[str]:
        return re.findall(r"^\d+\.\s*(.*?)$", text.replace("*", ""), re.MULTILINE)

    def match(planned: str, executed: str) -> bool:
        words, others = planned.lower().split(" "), executed.lower().split(" ")
        share = longest_common_subsequence(words, others) / min(len(words), len(others))
        return planned in executed or share > 0.3

    planned = headings(plan)
    found = sum(any(match(one, other) for other in headings(execution)) for one in planned)
    return found / max(1, len(planned))


WORDS = st.lists(st.sampled_from("find the price of one apple solve x add both sides".split()), min_size=1, max_size=6)
HEADINGS = st.lists(WORDS.map(" ".join), max_size=6, unique=True)


@given(HEADINGS, HEADINGS)
def test_with_the_bounds_off_it_is_e2cs_formula(planned: list[str], executed: list[str]) -> None:
    plan = "".join(f"{place}. {title}\n" for place, title in enumerate(planned, 1))
    execution = "so\n" + "".join(f"{place}. {title}\nyes\n" for place, title in enumerate(executed, 1))
    assert coverage(plan, execution, AS_PUBLISHED) == pytest.approx(published(plan, execution))


@pytest.mark.parametrize(
    ("plan", "execution", "expected"),
    [
        (PLAN, DONE, 1.0),
        (PLAN, "1. Find the price of one apple\n3\n3. Subtract what was paid\n\\boxed{10}", 2 / 3),
        (PLAN, "It is \\boxed{10}", 0.0),
        (PLAN, "1. 12\n2. 10\n", 0.0),
        ("Find the price, then multiply.", DONE, 0.0),
        ("", DONE, 0.0),
    ],
)
def test_coverage_is_the_share_of_headings_that_are_carried_out(plan: str, execution: str, expected: float) -> None:
    assert coverage(plan, execution) == pytest.approx(expected)


def test_bold_type_marks_and_step_numbers_are_headings_too() -> None:
    plan = "### **Step 1. Find the price of one apple**\n- 2. **Multiply by the number of apples**\n"
    assert coverage(plan, "1. find the price of ONE apple\n2. multiply by the number of apples\n") == 1.0


@pytest.mark.parametrize(
    ("planned", "executed", "expected"),
    [
        ("price", "Prices of all apples", 1.0),
        ("prices", "the price of all apples", 0.0),
        ("**Price**", "price", 1.0),
        ("price", "*Price:*", 1.0),
        ("a b c d e f g h i j", "a b c w w w w w w w", 0.0),
        ("a b c d e f g h i j", "a b c d w w w w w w", 1.0),
        ("a b c d", "d c b a", 0.0),
        ("a b c d", "d c a w b", 1.0),
    ],
)
def test_headings_match_by_containment_or_by_more_than_three_tenths_of_the_words(
    planned: str, executed: str, expected: float
) -> None:
    assert coverage(f"1. {planned}\n", f"1. {executed}\n", AS_PUBLISHED) == expected


@pytest.mark.parametrize(
    "plan",
    [
        "1. Solve the whole problem step by step\n",
        "1. a\n2. b\n3. c\n",
        "1. Solve the problem now\n2. Solve the problem now\n3. solve the problem now\n",
        PLAN + "and then we multiply " * 200,
        "1.\n2.\n3.\n",
    ],
)
def test_a_plan_that_says_nothing_or_everything_is_worth_nothing(plan: str) -> None:
    carried_out = "1. Solve the whole problem step by step\n2. a b c\n3. Solve the problem now\n" + PLAN
    assert coverage(plan, carried_out) == 0.0


def test_without_a_plan_block_nothing_is_covered() -> None:
    layout = read_layout(Transcript.of(f"<EXECUTION>{PLAN}{DONE}</EXECUTION>"), TAGS)
    assert HONEST.component().measure(Verdict(answer=layout.answer, layout=layout)) == 0.0


def test_decimal_numbers_are_no_headings() -> None:
    assert coverage(PLAN, "3.14 find the price of one apple\n") == 0.0


@given(st.text(alphabet="1. \n*#abc", max_size=300), st.text(alphabet="1. \n*#abc", max_size=300))
def test_any_text_has_a_coverage_between_0_and_1(plan: str, execution: str) -> None:
    assert 0.0 <= coverage(plan, execution) <= 1.0
    assert 0.0 <= coverage(plan, execution, AS_PUBLISHED) <= 1.0


def test_hostile_texts_end() -> None:
    headings = "".join(f"{place % 1000}. {'word ' * 40}{place}\n" for place in range(20_000))
    assert 0.0 <= coverage(headings, headings, AS_PUBLISHED) <= 1.0
    assert coverage("1" * 200_000, "1. " * 100_000, AS_PUBLISHED) == 0.0


@pytest.mark.parametrize(
    "options",
    [{"headings_at_least": 0}, {"headings_at_least": 33}, {"characters_at_least": 20, "characters_at_most": 10}],
)
def test_bounds_that_mean_nothing_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="plan_coverage"):
        PlanCoverage(**options)


def test_an_environment_that_asks_for_no_plan_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'plan_coverage' needs environment\.options\.tags\.plan"):
        component(SqlEnvironment(), "plan_coverage")
    component(SqlEnvironment(tags=TAGS), "plan_coverage")
