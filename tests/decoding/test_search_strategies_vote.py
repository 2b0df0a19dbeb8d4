"""Best of several, and votes."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.episode import Episode, Stretch
from decoding.search.selection import best, vote
from decoding.search.state import State
from decoding.search.strategy import Candidate
from envs.task import Task
from envs.transcript import UNSAID

FEW = settings(max_examples=40, deadline=None)
TASK = Task(id="task")


def candidate(
    digest: str | None = None,
    score: float | None = None,
    *,
    logprob: float = -1.0,
    quota: int = 1,
    is_final: bool = True,
    is_cut: bool = False,
) -> Candidate:
    state = State(
        task=TASK,
        transcript=replace(UNSAID, is_truncated=is_cut),
        is_final=is_final,
        logprob=logprob,
        log_z=None,
        tokens=1,
        quota=quota,
        episode=Episode(task=TASK, place=0, row=-1, prompt_ids=()),
    )
    return Candidate(state=state, score=score, digest=digest)


SCORES = st.none() | st.floats(0, 1) | st.just(math.nan)
LOGPROBS = st.floats(-9, 0) | st.just(math.nan)
CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.sampled_from([None, "a", "b", "c"]),
        SCORES,
        logprob=LOGPROBS,
        quota=st.integers(1, 3),
        is_final=st.booleans(),
        is_cut=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def furthest_of(candidates: list[Candidate]) -> list[Candidate]:
    """Those that are complete, or else those that were cut off, or else all."""
    ended = [one for one in candidates if one.state.is_final]
    return [one for one in ended if one.state.is_complete] or ended or candidates


@FEW
@given(CANDIDATES)
def test_the_best_has_the_highest_score_of_those_that_came_furthest_and_was_found_first(candidates) -> None:
    chosen = best(candidates)
    furthest = furthest_of(candidates)
    scored = [one for one in furthest if one.score is not None and not math.isnan(one.score)]
    assert chosen is next((one for one in scored if one.score == max(other.score for other in scored)), furthest[0])


@FEW
@given(CANDIDATES, st.booleans(), st.randoms(use_true_random=False))
def test_a_vote_does_not_depend_on_the_order_of_those_that_differ(candidates, weighted, random) -> None:
    distinct = [
        replace(one, state=replace(one.state, logprob=-float(place + 1))) for place, one in enumerate(candidates)
    ]
    chosen = vote(distinct, weighted=weighted)
    shuffled = random.sample(distinct, len(distinct))
    assert vote(shuffled, weighted=weighted) is chosen


@FEW
@given(CANDIDATES)
def test_a_majority_has_as_many_votes_as_any_class_that_could_win(candidates: list[Candidate]) -> None:
    chosen = vote(candidates, weighted=False)
    able = {one.digest for one in furthest_of([one for one in candidates if one.digest is not None] or candidates)}
    if able != {None} and any(one.state.is_final for one in candidates if one.digest in able):
        votes = {name: sum(one.state.quota for one in candidates if one.digest == name) for name in able}
        assert chosen.state.is_final and votes[chosen.digest] == max(votes.values())


@FEW
@given(CANDIDATES)
def test_a_vote_of_equal_weights_is_the_majority(candidates: list[Candidate]) -> None:
    equal = [replace(one, score=0.5) for one in candidates]
    assert vote(equal, weighted=True) is vote(equal, weighted=False)


@FEW
@given(CANDIDATES, st.booleans())
def test_one_more_vote_for_the_winner_changes_nothing(candidates: list[Candidate], weighted: bool) -> None:
    chosen = vote(candidates, weighted=weighted)
    if chosen.digest is not None:
        assert vote([*candidates, chosen], weighted=weighted) is chosen


@FEW
@given(CANDIDATES, st.booleans(), st.integers(1, 9))
def test_no_number_of_answers_without_a_digest_outvotes_one_with_one(candidates, weighted, more) -> None:
    nameless = [candidate(None, 1.0, logprob=-0.01, quota=3)] * more
    digests = {one.digest for one in candidates if one.state.is_final} - {None}
    chosen = vote([*nameless, *candidates, *nameless], weighted=weighted)
    assert chosen.digest in digests if digests else chosen.digest is None


@FEW
@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1), st.integers(1, 3)), min_size=1, max_size=8))
def test_a_weighted_vote_goes_to_the_largest_sum_of_scores(given_scores) -> None:
    candidates = [candidate(name, score, quota=quota) for name, score, quota in given_scores]
    totals = {name: math.fsum(score * quota for other, score, quota in given_scores if other == name) for name in "ab"}
    assert totals[vote(candidates, weighted=True).digest] == max(totals.values())


def test_equal_votes_go_to_the_larger_class_then_to_the_likelier_one_then_to_the_first() -> None:
    one, two = candidate("a", 0.5), candidate("b", 0.25)
    assert vote([one, two, two], weighted=True) is two
    unlikely, likely = candidate("a", logprob=-2.0), candidate("b", logprob=-1.0)
    assert vote([unlikely, likely], weighted=False) is likely
    untold = candidate("c", logprob=math.nan)
    assert vote([untold, unlikely], weighted=False) is unlikely
    first, second = candidate("a"), candidate("b")
    assert vote([first, second], weighted=False) is first


def test_the_winning_class_is_spoken_for_by_its_best_member() -> None:
    members = [candidate("a", 0.2), candidate("a", 0.9, logprob=-3.0), candidate("a", 0.9, logprob=-2.0)]
    assert vote([candidate("b", 1.0), *members], weighted=False) is members[2]
    assert vote([candidate("a", 1.0, is_final=False), *members], weighted=False) is members[2]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_class_that_was_only_cut_short_outvotes_no_complete_answer(weighted: bool) -> None:
    complete, loop, partial = candidate("b", 0.1), candidate("a", 1.0, is_cut=True), candidate("c", 1.0, is_final=False)
    assert vote([loop, loop, partial, partial, complete], weighted=weighted) is complete
    assert vote([partial, partial, loop], weighted=weighted) is loop
    assert best([loop, partial, complete]) is complete and best([partial, loop]) is loop
    # With one complete member a class has the votes of all, and that member speaks for it.
    whole = candidate("a", 0.2)
    assert vote([loop, loop, complete, whole], weighted=weighted) is whole
    # What means nothing cannot be right; what only goes on has no answer.
    nothing = candidate(None, 1.0)
    assert vote([nothing, loop], weighted=weighted) is loop
    assert vote([partial, nothing], weighted=weighted) is nothing


def test_a_structure_that_was_ended_in_the_models_place_is_complete() -> None:
    cut, closed = candidate("a", 1.0, is_cut=True), candidate("b", 0.5, is_cut=True)
    closed.state.episode.stretches.append(Stretch(by_model=True, token_ids=[1, 2], logprobs=[-1.0, 0.0], closed=1))
    assert best([cut, closed]) is closed and vote([cut, cut, closed], weighted=False) is closed


def test_nothing_cannot_be_chosen_from() -> None:
    with pytest.raises(ValueError, match="one candidate or more"):
        best([])
    with pytest.raises(ValueError, match="one candidate or more"):
        vote([], weighted=True)
