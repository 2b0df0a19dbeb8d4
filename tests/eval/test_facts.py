"""Facts of verdicts: whatever an environment found, what is kept is plain, bounded, and says where it was cut."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.verdict import JsonVerdict
from envs.layout import Layout
from envs.verdict import Verdict
from eval.facts import CUT, LONGEST_TEXT, MOST_MEMBERS, MOST_VALUES, facts_of


@dataclass(frozen=True, kw_only=True)
class Found(Verdict):
    """A verdict with something in it."""

    what: Any = None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.text())
    ),
)


@settings(max_examples=150, deadline=None)
@given(anything)
def test_whatever_was_found_is_plain_and_bounded(what: Any) -> None:
    facts = facts_of(Found(what=what))
    written = json.dumps(facts, allow_nan=False)
    assert json.loads(written) == facts
    assert len(written) < 7 * (MOST_VALUES + 10) * (LONGEST_TEXT + 50)


def test_plain_values_are_kept_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "b": {"c": []}}
    assert facts_of(Found(what=value))["what"] == value
    assert facts_of(Found(what=("x", frozenset({"b", "a"}))))["what"] == ["x", ["a", "b"]]


def test_what_is_cut_says_so() -> None:
    assert facts_of(Found(what=[10**5000, {10**5000}]))["what"][0] == "a number of 16610 bits"
    assert facts_of(Found(what="x" * 5000))["what"] == "x" * LONGEST_TEXT + CUT
    assert facts_of(Found(what=list(range(50))))["what"] == [*range(MOST_MEMBERS), CUT]
    many = facts_of(Found(what=[list(range(20))] * 20))["what"]
    assert CUT in many[-1] or many[-1] == CUT


def test_what_records_have_a_field_for_is_not_kept_twice() -> None:
    verdict = JsonVerdict(answer="{}", error="wrong", layout=Layout(answer="{}", reasoning="long", defect="no plan"))
    facts = facts_of(verdict)
    assert not {"answer", "error", "unjudged", "layout"} & set(facts)
    assert facts["defect"] == "no plan" and facts["is_correct"] is False and "is_valid" in facts
