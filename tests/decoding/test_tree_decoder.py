"""Trees of rollouts: as many leaves as asked for, shared prefixes, merged siblings."""

import itertools
from collections import Counter, defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Echo, Script, ScriptedEngine

from decoding.budgets import Budgets
from decoding.decoder import Decoding, masked_parts
from decoding.rollout import Rollout
from decoding.transformers_engine import TransformersEngine
from decoding.tree_decoder import TreeDecoder
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.task import Task
from envs.transcript import END, Observation, Transcript


def grow(tokenizer: Any, script: Script, *, leaves: int, seed: int = 0, tasks: int = 1, **options: Any) -> Decoding:
    decoder = TreeDecoder(
        engine=ScriptedEngine(tokenizer=tokenizer, script=script),
        tokenizer=tokenizer,
        environment=Echo(),
        budgets=Budgets(max_new_tokens=400),
        rejoin_after=0,
        **options,
    )
    return decoder.decode([Task(id=f"task {number}") for number in range(tasks)], n=[leaves] * tasks, seed=seed)


def script(outcomes: str, depth: int, answers: float) -> Script:
    """Steps with one of ``outcomes``, in words of their own; else an answer, at the latest after ``depth``."""

    def say(said: str, random: Random) -> str:
        if said.count("<result>") >= depth or random.random() < answers:
            return f"{random.randrange(10**6)} <answer>yes</answer>"
        return f"{random.randrange(10**6)} <step>{random.choice(outcomes)}</step>"

    return say


class Letters(Echo):
    """A real model writes noise: some of its common letters close a step."""

    stops = ("a", "e")

    def observe(self, task: Task, transcript: Transcript) -> Observation | None:
        said = transcript.segments[-1].text
        return Observation(text="<seen>", digest=said[-1]) if len(transcript.segments) < 6 else END


def children(rollouts: tuple[Rollout, ...]) -> dict[int, dict[int, int]]:
    """Node -> its children -> the samples of each; -1 is the root."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for rollout in rollouts:
        for parent, branch in itertools.pairwise([None, *rollout.branches]):
            assert branch is not None
            found[-1 if parent is None else parent.node][branch.node] = branch.samples
    return found


@given(
    leaves=st.integers(1, 12), branching=st.integers(2, 4), depth=st.integers(0, 4),
    answers=st.floats(0, 1), outcomes=st.sampled_from(["a", "ab", "abcdefgh"]), seed=st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_tree_has_the_leaves_asked_for_and_shares_what_it_says(
    tokenizer: Any, leaves: int, branching: int, depth: int, answers: float, outcomes: str, seed: int
) -> None:
    decoding = grow(tokenizer, script(outcomes, depth, answers), leaves=leaves, branching=branching, seed=seed, tasks=2)
    for group in decoding.groups:
        assert len(group.rollouts) == leaves
        for rollout in group.rollouts:
            starts = [branch.start for branch in rollout.branches]
            assert starts[0] == 0 and starts == sorted(set(starts)) and starts[-1] < len(rollout.completion_ids)
            # A branch begins where the environment has just spoken.
            assert all(rollout.env_mask[start - 1] == 0 and rollout.env_mask[start] == 1 for start in starts[1:])
            assert len(starts) - 1 == sum(segment.author == "environment" for segment in rollout.transcript.segments)
            assert rollout.verdict.is_correct
        distinct = list({rollout.branches[-1].node: rollout for rollout in group.rollouts}.values())
        for one, other in itertools.combinations(distinct, 2):
            shared = sum(a.node == b.node for a, b in zip(one.branches, other.branches, strict=False))
            assert [branch.node for branch in one.branches[:shared]] == [
                branch.node for branch in other.branches[:shared]
            ]
            end = one.branches[shared].start
            assert end == other.branches[shared].start and one.completion_ids[:end] == other.completion_ids[:end]
            # Each draws for itself: what two branches say differs from their first turn on.
            assert one.completion_ids[end:] != other.completion_ids[end:]


def test_siblings_that_were_answered_alike_merge_and_are_counted(tokenizer: Any) -> None:
    (group,) = grow(tokenizer, script("a", 2, 0.0), leaves=4).groups
    found = children(group.rollouts)
    # Both samples of a turn get the same result: one is followed, and stands for two.
    (first,) = found[-1]
    (second,) = found[first]
    assert found[-1] == {first: 2} and found[first] == {second: 2}
    # The last turn has two samples, each of which is two of the four leaves.
    last = Counter(rollout.branches[-1].node for rollout in group.rollouts)
    assert set(last) == set(found[second]) and set(last.values()) == {2}


def test_siblings_with_results_of_their_own_are_both_followed(tokenizer: Any) -> None:
    counter = itertools.count()
    (group,) = grow(
        tokenizer,
        lambda said, random: f"<step>{next(counter)}</step>" if said.count("<result>") < 2 else "<answer>yes</answer>",
        leaves=8,
    ).groups
    found = children(group.rollouts)
    assert len(found[-1]) == 2 and all(len(found[node]) == 2 for node in found[-1])
    assert {samples for node in found for samples in found[node].values()} == {1}
    assert len({rollout.branches[-1].node for rollout in group.rollouts}) == 8


def test_an_episode_that_ends_early_counts_for_its_whole_share(tokenizer: Any) -> None:
    (group,) = grow(
        tokenizer, lambda said, random: f"{random.random()}<answer>yes</answer>", leaves=7, branching=3
    ).groups
    counts = Counter(rollout.completion_ids for rollout in group.rollouts)
    assert sorted(counts.values()) == [2, 2, 3] and {len(rollout.branches) for rollout in group.rollouts} == {1}


def test_the_first_turn_can_have_more_samples_than_later_ones(tokenizer: Any) -> None:
    decoding = grow(tokenizer, script("abcdefgh", 3, 0.0), leaves=8, first_branching=6)
    found = children(decoding.groups[0].rollouts)
    assert sum(found[-1].values()) == 6 and all(sum(found[node].values()) <= 2 for node in found if node != -1)


@given(
    leaves=st.integers(0, 16), branching=st.integers(2, 4), first=st.none() | st.integers(2, 8),
    share=st.floats(0, 1) | st.sampled_from([0.1, 0.25, 0.5, 0.9]), answers=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_share_of_the_leaves_is_masked_whatever_becomes_of_them_and_each_kind_divides_its_own_evenly(
    tokenizer: Any, leaves: int, branching: int, first: int | None, share: float, answers: float, seed: int
) -> None:
    decoding = grow(
        tokenizer, script("abcdefgh", 2, answers), leaves=leaves, branching=branching, first_branching=first,
        masked_share=share, seed=seed,
    )  # fmt: skip
    rollouts = decoding.groups[0].rollouts
    # The environment has no grammar, which is noted of those that were to have one.
    kinds = [one.grammar_error is not None for one in rollouts]
    expected = [part.is_masked for part in masked_parts(leaves, share, 0) for _ in range(part.count)]
    assert kinds == expected
    found: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    samples = {}
    for kind, one in zip(kinds, rollouts, strict=True):
        found[kind][one.branches[0].node] += 1
        samples[one.branches[0].node] = one.branches[0].samples
    assert not found[True].keys() & found[False].keys()
    assert sum(samples.values()) == min(first or branching, leaves)
    for own in found.values():
        if all(samples[node] == 1 for node in own):
            assert max(own.values(), default=0) - min(own.values(), default=0) <= 1


def test_a_grammar_alone_changes_no_random_number_of_a_tree(tokenizer: Any) -> None:
    free, masked = (
        grow(tokenizer, script("abc", 3, 0.3), leaves=7, first_branching=3, seed=1, masked_share=share).groups[0]
        for share in (0.0, 1.0)
    )
    assert [one.completion_ids for one in free.rollouts] == [one.completion_ids for one in masked.rollouts]
    assert [one.branches for one in free.rollouts] == [one.branches for one in masked.rollouts]


def test_masked_and_free_siblings_that_were_answered_alike_stay_apart(tokenizer: Any) -> None:
    (group,) = grow(tokenizer, script("a", 2, 0.0), leaves=4, masked_share=0.5).groups
    found = children(group.rollouts)
    assert list(found[-1].values()) == [1, 1]
    # Within a kind they merge.
    assert all(list(found[node].values()) == [2] for node in found[-1])


@pytest.mark.parametrize("branching", [2, 3])
def test_leaves_are_worth_what_independent_rollouts_are(tokenizer: Any, branching: int) -> None:
    """Right is who took his time, and long turns are answered as short ones are; and half of the episodes end at once.

    Following whoever is answered first, or sampling again where an episode ended, would shift the mean.
    """

    def say(said: str, random: Random) -> str:
        if said or random.random() < 0.5:
            return f"{random.random()}<answer>{'yes' if 'long' in said or not said else 'no'}</answer>"
        return ("long " * 5 if random.random() < 0.5 else "") + "<step>a</step>"

    decoding = grow(tokenizer, say, leaves=4, branching=branching, tasks=400)
    means = [sum(rollout.verdict.is_correct for rollout in group.rollouts) / 4 for group in decoding.groups]
    # P(right) = 1/2 at once + 1/2 * 1/2; the standard error of 400 groups is at most 0.022.
    assert sum(means) / 400 == pytest.approx(0.75, abs=0.07)


def test_what_is_shared_is_generated_once(tokenizer: Any) -> None:
    (group,) = (decoding := grow(tokenizer, script("abcdefgh", 3, 0.0), leaves=8)).groups
    by_rows = sum(sum(rollout.env_mask) for rollout in group.rollouts)
    assert decoding.ledger.generated_tokens < 0.75 * by_rows


def test_a_tree_does_not_depend_on_what_else_is_decoded_or_when_rows_come_back(model: Any, tokenizer: Any) -> None:
    options: dict[str, Any] = {
        "engine": TransformersEngine(model, tokenizer), "tokenizer": tokenizer,
        "environment": Letters(longest_observation=1), "budgets": Budgets(max_new_tokens=40),
    }  # fmt: skip
    tasks = [Task(id="one"), Task(id="two")]
    alone = TreeDecoder(**options, rejoin_after=3).decode(tasks[1:], n=[6], seed=0).groups[0]
    among = TreeDecoder(**options).decode(tasks, n=[5, 6], seed=0).groups[1]
    assert [one.completion_ids for one in alone.rollouts] == [one.completion_ids for one in among.rollouts]
    assert [one.branches for one in alone.rollouts] == [one.branches for one in among.rollouts]


def test_a_seed_gives_the_same_tree_again(tokenizer: Any) -> None:
    first, again, other = (grow(tokenizer, script("abc", 3, 0.3), leaves=6, seed=seed).groups[0] for seed in (1, 1, 2))
    assert [one.completion_ids for one in first.rollouts] == [one.completion_ids for one in again.rollouts]
    assert [one.branches for one in first.rollouts] == [one.branches for one in again.rollouts]
    assert [one.completion_ids for one in first.rollouts] != [one.completion_ids for one in other.rollouts]


@pytest.mark.parametrize("max_batch_rows", [3, 64])
def test_trees_over_a_real_model_record_what_a_forward_says(
    model: Any, tokenizer: Any, forward_logprobs: Any, max_batch_rows: int
) -> None:
    decoder = TreeDecoder(
        engine=TransformersEngine(model, tokenizer, max_batch_rows=max_batch_rows),
        tokenizer=tokenizer,
        environment=Letters(longest_observation=1),
        budgets=Budgets(max_new_tokens=50),
        branching=3,
        rejoin_after=2,
    )
    decoding = decoder.decode([Task(id="one"), Task(id="two")], n=[6, 5], seed=0)
    assert [len(group.rollouts) for group in decoding.groups] == [6, 5]
    assert max(len(rollout.branches) for group in decoding.groups for rollout in group.rollouts) >= 3
    for rollout in (rollout for group in decoding.groups for rollout in group.rollouts):
        exact = forward_logprobs(model.eval(), rollout.prompt_ids, rollout.completion_ids, 1.0).tolist()
        kept = [value * mask for value, mask in zip(exact, rollout.env_mask, strict=True)]
        assert list(rollout.logprobs) == pytest.approx(kept, abs=1e-4)


def test_a_tree_that_cannot_branch_is_refused_at_construction(tokenizer: Any) -> None:
    engine = ScriptedEngine(tokenizer=tokenizer, script=lambda said, random: "")
    options: dict[str, Any] = {"engine": engine, "tokenizer": tokenizer, "budgets": Budgets(max_new_tokens=400)}
    with pytest.raises(ConfigurationError, match="environment 'json' answers no turns"):
        TreeDecoder(environment=JsonEnvironment(), **options)
    with pytest.raises(ConfigurationError, match="branching 1"):
        TreeDecoder(environment=Echo(), branching=1, **options)
    with pytest.raises(ConfigurationError, match="temperature 0"):
        TreeDecoder(environment=Echo(), temperature=0.0, **options)
    with pytest.raises(ConfigurationError, match="share of masked rollouts is 0.5 .* first_branching is 1"):
        TreeDecoder(environment=Echo(), first_branching=1, masked_share=0.5, **options)
