"""The presets of configs/rewards against the rewards that they are made after.

For each there is the original's value of a case, as its source has it, and a verdict of that case. Ours must be one
positive affine image of it: a * original + b with the a and b of the preset's header, over all cases.
"""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envs.configuration import parse
from envs.json.verdict import JsonVerdict
from envs.layout import Layout, Tags, read_layout
from envs.math.judge import MathVerdict
from envs.registry import EnvironmentConfig, make_environment
from envs.sql.answer import extract_query
from envs.sql.exploration import IntermediateQuery
from envs.sql.judge import SqlVerdict
from envs.sql.parsing.facts import ParsedFacts
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.composite import Composite
from rewards.configuration import RewardConfig
from rewards.registry import COMPONENTS
from rewards.schedule import Moment

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "rewards"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(preset: str) -> RewardConfig:
    return parse(RewardConfig, ["--config", str(FOLDER / f"{preset}.yaml")], description="").config


@cache
def composite(preset: str) -> Composite:
    """With the environment that the preset's header asks for."""
    header = re.search(r"^# Environment:\n((?:#   .*\n)+)", (FOLDER / f"{preset}.yaml").read_text(), re.MULTILINE)
    assert header is not None
    environment = yaml.safe_load(re.sub(r"^#   ", "", header.group(1), flags=re.MULTILINE))
    return Composite(make_environment(EnvironmentConfig(**environment)), load(preset))


def worth(preset: str, verdict: Verdict) -> float:
    value = composite(preset).score(verdict).value
    assert value is not None
    return value


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fits_the_environment_that_its_header_asks_for(preset: str) -> None:
    assert composite(preset).paying


def test_the_page_for_users_names_every_component_and_every_preset() -> None:
    page = (FOLDER.parents[1] / "docs" / "rewards.md").read_text()
    names = {name for components in COMPONENTS.values() for name in components} | set(PRESETS)
    assert not {name for name in names if f"`{name}`" not in page}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_its_source_and_says_what_is_ours(preset: str) -> None:
    header = (FOLDER / f"{preset}.yaml").read_text().partition("\nparts:")[0]
    assert re.search(r"arXiv \d{4}\.\d{5}", header) and re.search(r"\bours\b|here\b", header, re.IGNORECASE)


ORIGINAL_ARCTIC = [
    (0.0, SqlVerdict(error="empty")),
    (0.0, SqlVerdict(answer="x", error="not SQL")),
    (0.0, SqlVerdict(answer="x", error="unknown column", is_parsed=True)),
    (0.1, SqlVerdict(answer="x", error="wrong result", is_parsed=True, is_executed=True)),
    (1.0, SqlVerdict(answer="x", is_parsed=True, is_executed=True, is_correct=True)),
]


@pytest.mark.parametrize(("original", "verdict"), ORIGINAL_ARCTIC)
def test_arctic(original: float, verdict: SqlVerdict) -> None:
    assert worth("arctic", verdict) == pytest.approx(original)


SQL_R1_TAGS = Tags(reasoning="think", must_reason=True, answer="answer")
FENCED = "```sql\nSELECT name\n    FROM singer\n```"


def sql_r1_verdict(text: str, *, runs: bool, is_right: bool) -> SqlVerdict:
    layout = read_layout(Transcript.of(text), SQL_R1_TAGS)
    answer = None if layout.answer is None else extract_query(layout.answer)
    return SqlVerdict(answer=answer, layout=layout, is_parsed=runs, is_executed=runs, is_correct=is_right)


@pytest.mark.parametrize("thought", ["short", "long " * 200, "longer " * 1_000])
@pytest.mark.parametrize("talk", ["", "So this is it: "])
@pytest.mark.parametrize(
    ("is_laid_out", "runs", "is_right", "original"),
    [
        (False, False, False, -1.0),
        (False, True, False, -1.0),
        (False, True, True, -1.0),
        (True, False, False, 1.0 - 2.0),
        (True, True, False, 1.0 + 2.0 - 3.0),
        (True, True, True, 1.0 + 2.0 + 3.0),
    ],
)
def test_sql_r1(thought: str, talk: str, is_laid_out: bool, runs: bool, is_right: bool, original: float) -> None:
    answer = talk + FENCED
    text = f"<think>{thought.strip()}</think><answer>{answer}</answer>"
    verdict = sql_r1_verdict(text if is_laid_out else answer, runs=runs, is_right=is_right)
    if original == 6.0:
        written = len(thought.strip()) + len(answer)
        original += 0.5 * min(1, written / 2048) + len("SELECT name FROM singer") / len(answer)
    assert worth("sql_r1", verdict) == pytest.approx((original + 1) / 8.5)


def test_sql_r1_without_answer_tags_is_a_wrong_format() -> None:
    for text in (
        "",
        "<think>a</think>" + FENCED,
        f"<answer>{FENCED}</answer>",
        f"<think>a</think>{FENCED}<answer></answer>",
    ):
        assert worth("sql_r1", sql_r1_verdict(text, runs=True, is_right=True)) == 0.0


GOLD = "SELECT name FROM singer"
sql_verdicts = st.builds(
    lambda is_laid_out, runs, is_right, names, answer, exact, queries: SqlVerdict(
        answer=answer,
        gold=GOLD,
        layout=Layout(defect=None if is_laid_out else "no answer"),
        is_parsed=runs or is_right,
        is_executed=runs or is_right,
        is_correct=is_right,
        names=names,
        gold_names=("singer", "singer.name"),
        parsed=ParsedFacts(is_exact=exact, table_jaccard=0, column_jaccard=0, clause_scores={}, error=None),
        queries=queries,
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(["singer", "singer.name", "singer.age"]), unique=True).map(tuple),
    st.sampled_from([GOLD, "SELECT name", "SELECT age FROM singer", "DELETE"]),
    st.booleans(),
    st.lists(
        st.builds(
            lambda is_informative, names, is_star: IntermediateQuery(
                text="q",
                is_executed=True,
                is_informative=is_informative,
                names=names,
                written_names=names[:1] if is_star else names,
            ),
            st.booleans(),
            st.sampled_from([("singer",), ("singer", "singer.name"), ("concert",)]),
            st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
)


def jaccard(first: set[object], second: set[object]) -> float:
    return len(first & second) / len(first | second)


def bigrams(query: str) -> set[object]:
    words = query.lower().split()
    return set(zip(words, words[1:], strict=False)) or {tuple(words)}


@given(sql_verdicts)
def test_reasoning_sql(verdict: SqlVerdict) -> None:
    assert verdict.answer is not None
    original = (
        3 * verdict.is_correct
        + 1 * verdict.is_executed
        + 1 * jaccard(set(verdict.names), set(verdict.gold_names))
        + 1 * jaccard(bigrams(verdict.answer), bigrams(GOLD))
        + 1 * (verdict.layout.defect is None)
    )
    assert worth("reasoning_sql", verdict) == pytest.approx(original / 7)


@given(sql_verdicts, sql_verdicts)
def test_in_reasoning_sql_no_wrong_answer_outscores_a_right_one(first: SqlVerdict, second: SqlVerdict) -> None:
    for wrong, right in ((first, second), (second, first)):
        if right.is_correct and not wrong.is_correct:
            assert worth("reasoning_sql", wrong) <= worth("reasoning_sql", right)


@given(sql_verdicts)
def test_reex_sql(verdict: SqlVerdict) -> None:
    assert verdict.parsed is not None
    useful = {
        name
        for query in verdict.queries
        if query.is_informative and query.names != ("concert",)
        for name in query.written_names
    }
    wasted = sum(not (query.is_informative and query.names != ("concert",)) for query in verdict.queries)
    original = (
        2 * (verdict.layout.defect is None)
        + 1 * bool(verdict.parsed.is_exact)
        + 3 * verdict.is_correct
        + 1 * jaccard(set(verdict.names), set(verdict.gold_names))
        + 2 * len(useful) / 2 * (1 - wasted / 5)
    )
    assert worth("reex_sql", verdict) == pytest.approx(original / 9)


def test_reex_sql_leaves_out_answers_whose_exact_match_is_not_known() -> None:
    facts = ParsedFacts(is_exact=None, table_jaccard=0, column_jaccard=0, clause_scores={}, error=None)
    verdict = SqlVerdict(answer="x", gold_names=("singer",), parsed=facts, layout=Layout())
    assert composite("reex_sql").score(verdict).value is None


json_verdicts = st.builds(
    lambda is_parsed, extra, is_valid, is_equal, progress, structure, f1, tokens: JsonVerdict(
        answer="{",
        is_correct=is_parsed and is_valid and is_equal and not extra,
        is_parsed=is_parsed,
        has_extra_text=extra,
        is_valid=is_parsed and is_valid,
        progress=1.0 if is_parsed and is_valid else progress,
        structure=structure if is_parsed else 0.0,
        f1=f1 if is_parsed else 0.0,
        layout=Layout(tokens=tokens),
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.floats(0, 0.99),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 1_000),
)


@given(json_verdicts)
def test_rl_struct(verdict: JsonVerdict) -> None:
    assert verdict.layout.tokens is not None and verdict.f1 is not None
    within_limit = min(1.0, max(0.0, (512 - verdict.layout.tokens) / (512 - 409)))
    original = (
        2 * verdict.structure
        + 1 * (verdict.is_parsed and not verdict.has_extra_text)
        + 3 * verdict.is_parsed
        + 3 * verdict.f1 * (verdict.is_valid and not verdict.has_extra_text)
        + 1 * within_limit * verdict.is_correct
    )
    assert worth("rl_struct", verdict) == pytest.approx(original / 10)


@given(json_verdicts)
def test_srl(verdict: JsonVerdict) -> None:
    is_valid_as_it_stands = verdict.is_valid and not verdict.has_extra_text
    assert worth("srl", verdict) == pytest.approx(1.0 if is_valid_as_it_stands else 0.3 * verdict.progress)


PLAN = "1. Find the price of one apple\n2. Multiply by how many were bought\n"


@pytest.mark.parametrize(
    ("execution", "coverage"),
    [
        ("1. Find the price of one apple\n3\n2. Multiply by how many were bought\n\\boxed{12}", 1.0),
        ("1. Find the price of one apple\n3\n\\boxed{12}", 0.5),
        ("\\boxed{12}", 0.0),
    ],
)
@pytest.mark.parametrize("is_right", [True, False])
def test_e2c(execution: str, coverage: float, is_right: bool) -> None:
    tags = Tags(plan="EXPLORATION")
    text = f"<EXPLORATION>{PLAN}</EXPLORATION><EXECUTION>{execution}</EXECUTION>"
    verdict = MathVerdict(answer="12", is_correct=is_right, layout=read_layout(Transcript.of(text), tags))
    assert worth("e2c", verdict) == pytest.approx(coverage * is_right)


@pytest.mark.parametrize(("mean", "weight"), [(0.0, 0.0), (0.5, 0.0), (0.7, 3.0), (0.9, 6.0), (1.0, 6.0)])
def test_the_curriculum_pays_syntax_first_then_content(mean: float, weight: float) -> None:
    verdict = JsonVerdict(answer="{}", is_parsed=True, is_valid=True, progress=1.0, structure=1.0, f1=0.5)
    scored = composite("curriculum").score(verdict, Moment(means={"usable": mean}))
    assert scored.value == pytest.approx((3 + weight * 0.5) / (3 + weight))


def test_the_curriculum_pays_no_content_of_an_invalid_answer() -> None:
    verdict = JsonVerdict(answer="{}", is_parsed=True, progress=0.5, structure=0.5, f1=1.0)
    scored = composite("curriculum").score(verdict, Moment(means={"usable": 1.0}))
    assert scored.value == pytest.approx((1 + 0.5) / 9)
