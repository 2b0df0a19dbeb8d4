"""Advantages of the branches of a tree, and of a plan."""

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewards.credit import Branch, expand, segment_weights, sibling_advantages

Path = tuple[Branch, ...]
EPSILON = 1e-4
numbers = st.floats(-10, 10).map(lambda value: round(value, 3))
scaling = pytest.mark.parametrize("scales", [False, True])


@st.composite
def trees(draw: st.DrawFn, *, unjudged: bool = True) -> tuple[list[Path], list[float | None]]:
    """The paths of a random tree of at most four levels, and the rewards of their ends."""
    numbering = iter(range(10_000))
    paths: list[Path] = []

    def grow(before: Path, start: int) -> None:
        for _ in range(draw(st.integers(1, 3))):
            path = (*before, Branch(node=next(numbering), start=start, samples=draw(st.integers(1, 3))))
            if len(path) == 4 or draw(st.booleans()):
                paths.append(path)
            else:
                grow(path, start + draw(st.integers(1, 5)))

    grow((), 0)
    reward = st.none() | numbers if unjudged else numbers
    return paths, draw(st.lists(reward, min_size=len(paths), max_size=len(paths)))


def chain(*nodes: int, samples: Sequence[int] = ()) -> Path:
    counts = [*samples, *[1] * len(nodes)]
    return tuple(Branch(node=node, start=3 * depth, samples=counts[depth]) for depth, node in enumerate(nodes))


def close(value: object) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def mean_value(paths: Sequence[Path], rewards: Sequence[float | None], depth: int = 0) -> float | None:
    """V of where these paths part, which is at ``depth``: by recursion over lists, as the formula reads."""
    children: list[tuple[int, float]] = []
    for number in {path[depth].node for path in paths}:
        below = [(path, reward) for path, reward in zip(paths, rewards, strict=True) if path[depth].node == number]
        if len(below[0][0]) == depth + 1:
            judged = [reward for _, reward in below if reward is not None]
            value = sum(judged) / len(judged) if judged else None
        else:
            value = mean_value([path for path, _ in below], [reward for _, reward in below], depth + 1)
        if value is not None:
            children.append((below[0][0][depth].samples, value))
    return sum(count * value for count, value in children) / sum(count for count, _ in children) if children else None


@pytest.fixture(scope="module")
def trl_advantages() -> Callable[..., list[float]]:
    """Returns a function: the lines of TRL's trainer for one group, whose unscorable completions are NaN."""
    import torch
    from trl.trainer.utils import nanstd

    def compute(rewards: Sequence[float | None], *, scales: bool) -> list[float]:
        row = torch.tensor([math.nan if reward is None else reward for reward in rewards], dtype=torch.float64)
        advantages = row - torch.nanmean(row)
        if scales:
            advantages = advantages / (nanstd(row, dim=0) + EPSILON)
        # Set to 0 in the end. One judged answer alone, which has no deviation, is NaN here.
        return advantages.nan_to_num(0.0).tolist()

    return compute


@given(rewards=st.lists(st.none() | numbers, min_size=2, max_size=8), scales=st.booleans())
def test_rollouts_that_share_nothing_get_the_advantages_of_grpo(
    trl_advantages: Callable[..., list[float]], rewards: list[float | None], scales: bool
) -> None:
    ours = sibling_advantages([chain(node) for node in range(len(rewards))], rewards, scales=scales)
    # TRL's correction for the number of samples is a single-precision number.
    assert [value for (value,) in ours] == pytest.approx(trl_advantages(rewards, scales=scales), rel=1e-6, abs=1e-6)


@given(trees())
def test_without_scaling_the_sum_is_the_value_of_the_branch_less_that_of_the_root(
    tree: tuple[list[Path], list[float | None]],
) -> None:
    paths, rewards = tree
    root = mean_value(paths, rewards)
    for path, reward, row in zip(paths, rewards, sibling_advantages(paths, rewards, scales=False), strict=True):
        if reward is None:
            continue
        for depth, branch in enumerate(path):
            below = [other[depth:] for other in paths if other[depth : depth + 1] == (branch,)]
            ends = [end for other, end in zip(paths, rewards, strict=True) if other[depth : depth + 1] == (branch,)]
            assert root is not None
            value = mean_value(below, ends)
            assert value is not None and row[depth] == close(value - root)


@given(trees(unjudged=False), st.booleans())
def test_siblings_weighted_by_their_samples_sum_to_nothing(
    tree: tuple[list[Path], list[float | None]], scales: bool
) -> None:
    paths, rewards = tree
    parted: dict[tuple[Branch, ...], dict[Branch, float]] = {}
    for path, row in zip(paths, sibling_advantages(paths, rewards, scales=scales), strict=True):
        for depth, branch in enumerate(path):
            own = row[depth] - (row[depth - 1] if depth else 0.0)
            parted.setdefault(path[:depth], {})[branch] = own
    for siblings in parted.values():
        assert sum(branch.samples * own for branch, own in siblings.items()) == pytest.approx(0, abs=1e-6)


@given(trees(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rollouts_is_of_no_matter(
    tree: tuple[list[Path], list[float | None]], scales: bool, shuffle: random.Random
) -> None:
    paths, rewards = tree
    order = list(range(len(paths)))
    shuffle.shuffle(order)
    rows = sibling_advantages(paths, rewards, scales=scales)
    shuffled = sibling_advantages([paths[i] for i in order], [rewards[i] for i in order], scales=scales)
    for place, i in enumerate(order):
        assert shuffled[place] == close(rows[i])


@given(trees(), st.booleans(), st.integers(-100, 100))
def test_adding_to_all_rewards_changes_nothing(
    tree: tuple[list[Path], list[float | None]], scales: bool, shift: int
) -> None:
    paths, rewards = tree
    moved = [None if reward is None else reward + shift for reward in rewards]
    for before, after in zip(
        sibling_advantages(paths, rewards, scales=scales), sibling_advantages(paths, moved, scales=scales), strict=True
    ):
        # The deviation of equal values is 0 up to rounding, which the small constant below it magnifies.
        assert after == pytest.approx(before, abs=1e-6)


@given(trees(), st.floats(0.5, 100))
def test_without_scaling_advantages_grow_with_the_rewards(
    tree: tuple[list[Path], list[float | None]], factor: float
) -> None:
    paths, rewards = tree
    grown = [None if reward is None else factor * reward for reward in rewards]
    for before, after in zip(
        sibling_advantages(paths, rewards, scales=False), sibling_advantages(paths, grown, scales=False), strict=True
    ):
        assert after == close([factor * value for value in before])


@given(trees(), st.floats(2, 100))
def test_with_scaling_advantages_keep_their_size(tree: tuple[list[Path], list[float | None]], factor: float) -> None:
    paths, rewards = tree
    # Away from the small constant: siblings are equal, or differ by much.
    whole = [None if reward is None else 1000.0 * round(reward) for reward in rewards]
    grown = [None if reward is None else factor * reward for reward in whole]
    for before, after in zip(
        sibling_advantages(paths, whole, scales=True), sibling_advantages(paths, grown, scales=True), strict=True
    ):
        assert after == pytest.approx(before, rel=1e-4, abs=1e-4)


@given(trees(), st.booleans())
def test_a_rollout_without_a_judgement_is_as_if_it_were_not_there(
    tree: tuple[list[Path], list[float | None]], scales: bool
) -> None:
    paths, rewards = tree
    rows = sibling_advantages(paths, rewards, scales=scales)
    judged = [i for i, reward in enumerate(rewards) if reward is not None]
    without = sibling_advantages([paths[i] for i in judged], [rewards[i] for i in judged], scales=scales)
    assert [rows[i] for i in judged] == without
    assert all(not any(rows[i]) for i, reward in enumerate(rewards) if reward is None)


@given(trees(unjudged=False), st.booleans())
@settings(max_examples=50, deadline=None)
def test_merged_samples_count_as_if_each_were_there(tree: tuple[list[Path], list[float | None]], scales: bool) -> None:
    paths, rewards = tree
    # Every branch that merged samples is written out as so many branches, all with the same below it.
    written: list[tuple[Path, float | None, int]] = []
    for i, (path, reward) in enumerate(zip(paths, rewards, strict=True)):
        copies: list[tuple[int, ...]] = [()]
        for branch in path:
            copies = [(*copy, number) for copy in copies for number in range(branch.samples)]
        for copy in copies:
            single = tuple(
                Branch(node=hash((branch.node, copy[: depth + 1])), start=branch.start)
                for depth, branch in enumerate(path)
            )
            written.append((single, reward, i))
    rows = sibling_advantages(paths, rewards, scales=scales)
    apart = sibling_advantages([path for path, _, _ in written], [end for _, end, _ in written], scales=scales)
    # A merged branch without siblings has advantage 0, and so have its equal copies.
    for (_, _, i), row in zip(written, apart, strict=True):
        assert row == pytest.approx(rows[i], rel=1e-6, abs=1e-6)


@scaling
def test_a_tree_by_hand(scales: bool) -> None:
    # Branch 1 was sampled three times, and forks into two ends; branch 2 is an end.
    paths = [chain(1, 3, samples=(3,)), chain(1, 4, samples=(3,)), chain(2)]
    rows = sibling_advantages(paths, [1.0, 0.0, 0.1], scales=scales)
    # V(1) = 0.5, V(root) = (3 * 0.5 + 0.1) / 4 = 0.4
    top = math.sqrt((3 * 0.1**2 + 0.3**2) / 3) + EPSILON if scales else 1.0
    end = math.sqrt(0.5) + EPSILON if scales else 1.0
    assert rows[0] == close((0.1 / top, 0.1 / top + 0.5 / end))
    assert rows[1] == close((0.1 / top, 0.1 / top - 0.5 / end))
    assert rows[2] == close((-0.3 / top,))


@scaling
def test_what_was_not_compared_has_no_advantage(scales: bool) -> None:
    alone = [chain(1, 2, samples=(3, 2))]
    assert sibling_advantages(alone, [1.0], scales=scales) == [(0.0, 0.0)]
    assert sibling_advantages([chain(1), chain(2)], [1.0, None], scales=scales) == [(0.0,), (0.0,)]
    assert sibling_advantages([chain(1), chain(2)], [None, None], scales=scales) == [(0.0,), (0.0,)]
    assert sibling_advantages([chain(1), chain(2)], [0.3, 0.3], scales=scales) == [(0.0,), (0.0,)]
    assert sibling_advantages([], [], scales=scales) == []


def test_rollouts_that_end_in_one_branch_share_its_value() -> None:
    rows = sibling_advantages([chain(1), chain(1), chain(2)], [1.0, 0.0, 1.0], scales=False)
    assert rows == [(-0.25,), (-0.25,), (0.25,)]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([chain(1, 2), (Branch(node=1, start=0), Branch(node=2, start=4))], "contradict each other about branch 2"),
        ([chain(1, 3), chain(2, 3)], "contradict each other about branch 3"),
        ([chain(1), chain(1, samples=(2,))], "contradict each other about branch 1"),
        ([chain(1, 2), chain(2)], "contradict each other about branch 2"),
        ([chain(1), chain(1, 2)], "branch 1 is a leaf of one path and has branches after it"),
        ([chain(1, 2), chain(1)], "branch 1 is a leaf of one path and has branches after it"),
        ([chain(1, 1), chain(2)], "contradict each other about branch 1"),
        ([(), chain(1)], r"begin at the tokens \[\]"),
        ([(Branch(node=1, start=2),), chain(2)], r"begin at the tokens \[2\]"),
        ([(Branch(node=1, start=0), Branch(node=2, start=0)), chain(3)], r"begin at the tokens \[0, 0\]"),
        ([chain(1, samples=(0,)), chain(2)], "0 samples"),
        ([chain(1)], "1 paths and 2 rewards"),
    ],
)
def test_paths_that_make_no_tree_are_refused(paths: list[Path], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sibling_advantages(paths, [1.0, 0.0], scales=True)


@given(trees(), st.integers(0, 9))
def test_every_token_gets_the_advantage_of_its_branch(tree: tuple[list[Path], list[float | None]], last: int) -> None:
    for path in tree[0]:
        length = path[-1].start + last
        tokens = expand(path, [float(branch.node) for branch in path], length)
        assert len(tokens) == length
        for place, value in enumerate(tokens):
            assert value == max((branch for branch in path if branch.start <= place), key=lambda one: one.start).node


def test_what_does_not_fit_a_path_cannot_be_expanded() -> None:
    with pytest.raises(ValueError, match="2 branches and 1 advantages"):
        expand(chain(1, 2), [1.0], 9)
    with pytest.raises(ValueError, match="a completion of 2 tokens has no branch that begins at token 3"):
        expand(chain(1, 2), [1.0, 2.0], 2)
    with pytest.raises(ValueError, match=r"begin at the tokens \[\]"):
        expand((), [], 2)


@given(st.integers(0, 50), st.integers(0, 50), numbers)
def test_a_plan_has_a_weight_of_its_own(length: int, end: int, weight: float) -> None:
    assume(end <= length)
    weights = segment_weights(length, end, weight)
    assert weights[:end] == [weight] * end and weights[end:] == [1.0] * (length - end)
    assert segment_weights(length, None, weight) == [1.0] * length


@pytest.mark.parametrize("end", [-1, 4])
def test_a_plan_that_ends_outside_of_its_completion_is_refused(end: int) -> None:
    with pytest.raises(ValueError, match=f"plan_end is {end} in a completion of 3 tokens"):
        segment_weights(3, end, 2.0)
