"""The ReEx tree: quotas, merging, and what is expanded."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_search import ScriptedSearch, Step, random_tree

from decoding.search.plan import Expand
from decoding.search.reex_tree import ReExTree, shares
from decoding.search.strategy import Selection

FEW = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 10**6)
LIMITS = st.none() | st.integers(1, 20)


def searched(scripted: ScriptedSearch, **options: Any) -> Selection:
    selection = scripted.search(ReExTree(**options))
    assert selection is not None
    return selection


def quotas(selection: Selection) -> list[int]:
    return [candidate.state.quota for candidate in selection.candidates]


@settings(max_examples=100, deadline=None)
@given(
    SEEDS,
    st.integers(1, 12),
    st.integers(2, 4),
    st.none() | st.integers(1, 6),
    st.sampled_from(["siblings", "level", "none"]),
    st.none() | st.integers(1, 3),
    st.none() | st.integers(3, 40),
    LIMITS,
)
def test_the_leaves_stand_for_all_answers_whatever_merges_or_ends(
    seed, leaves, branching, first_branching, merge, beam, tokens, expansions
) -> None:
    scripted = ScriptedSearch(
        tree=random_tree(Random(seed), depth=4), random=Random(seed), tokens=tokens, expansions=expansions
    )
    selection = searched(
        scripted, leaves=leaves, branching=branching, first_branching=first_branching, merge=merge, beam=beam
    )
    assert sum(quotas(selection)) == leaves
    assert min(quotas(selection)) >= 1
    expansions_asked = [wish for wish in scripted.wishes if isinstance(wish, Expand)]
    assert all(sum(wish.widths) <= leaves for wish in expansions_asked)
    assert beam is None or all(len(wish.states) <= beam for wish in expansions_asked[1:])


@FEW
@given(SEEDS, st.integers(1, 16))
def test_without_merging_every_answer_is_a_leaf_of_its_own(seed: int, leaves: int) -> None:
    scripted = ScriptedSearch(tree=random_tree(Random(seed), depth=5, width=2, is_full=True), random=Random(seed))
    assert quotas(searched(scripted, leaves=leaves, merge="none")) == [1] * leaves


@FEW
@given(SEEDS, st.integers(1, 9))
def test_a_first_turn_as_wide_as_the_answers_samples_them_independently(seed: int, leaves: int) -> None:
    scripted = ScriptedSearch(tree=random_tree(Random(seed)), random=Random(seed))
    assert quotas(searched(scripted, leaves=leaves, first_branching=leaves, merge="none")) == [1] * leaves


def test_the_first_turn_has_a_width_of_its_own() -> None:
    scripted = ScriptedSearch(tree=random_tree(Random(0), depth=3, is_full=True), random=Random(0))
    searched(scripted, leaves=20, first_branching=5, branching=2, merge="none")
    assert [wish.widths for wish in scripted.wishes if isinstance(wish, Expand)] == [(5,), (2,) * 5, (2,) * 10]


def test_merging_saves_expansions_and_merging_levels_saves_more() -> None:
    expanded = {"none": 0, "siblings": 0, "level": 0}
    for seed in range(20):
        tree = random_tree(Random(seed), depth=4, is_full=True)
        for merge in expanded:
            scripted = ScriptedSearch(tree=tree, random=Random(seed))
            searched(scripted, leaves=12, branching=3, merge=merge)
            expanded[merge] += scripted.expanded
    assert expanded["level"] < expanded["siblings"] < expanded["none"]


def turn(text: str, digest: str | None, *children: Step) -> Step:
    return Step(text=text, digest=digest, is_answered=True, children=children)


def answer(text: str) -> Step:
    return Step(text=text, meaning=text)


def test_of_equal_results_the_first_is_followed_with_the_quota_of_all() -> None:
    tree = Step(
        text="",
        children=(
            turn("a", "many", answer("from a")),
            turn("b", "few", answer("from b")),
            turn("c", "many", answer("from c")),
        ),
    )
    scripted = ScriptedSearch(tree=tree)
    selection = searched(scripted, leaves=6, branching=3)
    votes = {scripted.path(one.state)[-1].text: one.state.quota for one in selection.candidates}
    # The quota of a and c is 4, of which each of three children has a share: 2, 1, 1.
    assert [one.state.quota for one in selection.candidates] == [2, 1, 1, 1, 1]
    assert set(votes) == {"from a", "from b"}
    assert selection.chosen.transcript.text == "afrom a"


def test_results_that_nothing_identifies_never_merge() -> None:
    tree = Step(text="", children=(turn("a", None, answer("x")), turn("b", None, answer("y"))))
    for merge in ("siblings", "level"):
        scripted = ScriptedSearch(tree=tree)
        selection = searched(scripted, leaves=2, merge=merge)
        assert {scripted.path(one.state)[-1].text for one in selection.candidates} == {"x", "y"}


def test_equal_results_after_different_turns_merge_only_where_levels_do() -> None:
    tree = Step(
        text="",
        children=(
            turn("a", "few", turn("aa", "same", answer("x"))),
            turn("b", "many", turn("bb", "same", answer("y"))),
        ),
    )
    found = {}
    for merge in ("siblings", "level"):
        scripted = ScriptedSearch(tree=tree)
        selection = searched(scripted, leaves=2, merge=merge)
        found[merge] = {scripted.path(one.state)[-1].text for one in selection.candidates}
    assert found == {"siblings": {"x", "y"}, "level": {"x"}}


def test_a_beam_keeps_the_largest_quotas_then_the_likeliest() -> None:
    children = [
        Step(text=text, digest=text, is_answered=True, logprob=logprob, children=(answer(f"from {text}"),))
        for text, logprob in (("a", -3.0), ("b", -1.0), ("c", -2.0))
    ]
    scripted = ScriptedSearch(tree=Step(text="", children=tuple(children)))
    selection = searched(scripted, leaves=3, branching=3, beam=1)
    assert {scripted.path(one.state)[-1].text for one in selection.candidates} == {"from b"}
    scripted = ScriptedSearch(tree=Step(text="", children=tuple(children)))
    selection = searched(scripted, leaves=4, branching=3, beam=1)  # of four answers a has two
    assert {scripted.path(one.state)[-1].text for one in selection.candidates} == {"from a"}


def test_leaves_vote_with_their_quotas() -> None:
    tree = Step(text="", children=(answer("heavy"), turn("a", None, answer("x"), answer("y"))))
    scripted = ScriptedSearch(tree=tree)
    assert searched(scripted, leaves=4).chosen.transcript.text == "heavy"


@FEW
@given(st.integers(0, 100), st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_shares_are_whole_proportional_and_complete(total: int, weights: list[int]) -> None:
    parts = shares(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * w / sum(weights)) < 1 for part, w in zip(parts, weights, strict=True))


@pytest.mark.parametrize(("total", "count", "expected"), [(7, 3, [3, 2, 2]), (2, 2, [1, 1]), (1, 1, [1])])
def test_even_shares_differ_by_one_and_the_first_have_more(total: int, count: int, expected: list[int]) -> None:
    assert shares(total, [1] * count) == expected
