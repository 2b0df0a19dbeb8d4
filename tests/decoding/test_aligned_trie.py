"""The trie of ASAp and CARS: its bounds fall to c(s), and a row goes by what was known when it began."""

import math
from collections.abc import Sequence

import pytest
import torch
from enumerable_model import END, PROMPT, VOCABULARY, EnumerableModel, Text, compile_choice, grammar
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.aligned.trie import Node
from decoding.aligned.trie_sampler import TrieSampler

MODEL = EnumerableModel(seed=1, spread=2.0)
LANGUAGES = st.sets(
    st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12
)


def write(sampler: TrieSampler, texts: set[Text], row: int, uniforms: Sequence[float]) -> tuple[Text, bool]:
    """One text of a row and whether it was rejected; the sampler learns from it."""
    written, is_rejected = interrupted(sampler, texts, row, (), uniforms)
    sampler.end(row)
    return written, is_rejected


def interrupted(
    sampler: TrieSampler, texts: set[Text], row: int, written: Text, uniforms: Sequence[float]
) -> tuple[Text, bool]:
    for uniform in uniforms:
        matcher = compile_choice(grammar(texts))
        matcher.consume(written)
        log_p = MODEL.logits((*PROMPT, *written)).log_softmax(dim=0)
        drawn = sampler.draw(row, written, matcher, log_p, uniform)
        written += (drawn.token,)
        if drawn.ends_row or drawn.token == END:
            return written, drawn.ends_row
    return written, False


def completion_mass(texts: set[Text], prefix: Text = ()) -> float:
    """c(prefix)."""
    whole = sum(mass for text, mass in MODEL.masses(texts).items() if text[: len(prefix)] == prefix)
    return whole / math.exp(MODEL.log_p(prefix))


def nodes(root: Node | None, prefix: Text = ()) -> dict[Text, Node]:
    if root is None:
        return {}
    below = [nodes(edge.node, (*prefix, token)) for token, edge in root.children.items()]
    return {prefix: root} | {path: node for group in below for path, node in group.items()}


@pytest.mark.parametrize("rejects", [False, True])
@settings(max_examples=10, deadline=None)
@given(texts=LANGUAGES, seed=st.integers(0, 2**32))
def test_bounds_never_rise_and_never_fall_below_the_truth(rejects: bool, texts: set[Text], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    sampler = TrieSampler(rejects=rejects, max_nodes=1000)
    before: dict[Text, float] = {}
    for row in range(8):
        write(sampler, texts, row, torch.rand(6, generator=random).tolist())
        now = {prefix: math.exp(node.log_theta) for prefix, node in nodes(sampler._root).items()}
        assert len(now) == sampler.node_count
        for prefix, theta in now.items():
            assert theta <= before.get(prefix, 1.0) * (1 + 1e-12)
            assert theta >= completion_mass(texts, prefix) * (1 - 1e-9)
        before = now


def test_the_bound_reaches_the_truth_when_all_is_known() -> None:
    texts: set[Text] = {(1, 2), (1, 3, 4), (2,), (3, 3, 3)}
    random = torch.Generator().manual_seed(0)
    for rejects in (False, True):
        sampler = TrieSampler(rejects=rejects, max_nodes=1000)
        for row in range(400):
            write(sampler, texts, row, torch.rand(6, generator=random).tolist())
        assert sampler.log_theta == pytest.approx(math.log(completion_mass(texts)), rel=1e-9)


def test_bounds_stay_exact_where_almost_nothing_is_in_the_language() -> None:
    # What is left to unvisited tokens is summed anew, not found by subtraction: 1 - (1 - 1e-30) would be 0.
    log_p = torch.full((4,), -math.inf, dtype=torch.float64)
    log_p[1], log_p[2] = 0.0, -70.0
    texts: set[Text] = {(1, 2), (2,)}
    sampler = TrieSampler(rejects=True, max_nodes=10)
    matcher = compile_choice(grammar(texts))
    sampler.draw(0, (), matcher, log_p, 0.5)
    matcher.consume([1])
    assert sampler.draw(0, (1,), matcher, log_p, 0.5).ends_row
    sampler.end(0)
    # c = p(1) p(2|1) + p(2), both of e^-70.
    assert sampler.log_theta == pytest.approx(math.log(2) - 70)


def test_a_row_goes_by_what_was_known_when_it_began() -> None:
    texts: set[Text] = {(1, 2, 3), (1, 4, 4), (2, 2)}
    uniforms = [0.9, 0.3, 0.7, 0.1]
    alone = TrieSampler(rejects=True, max_nodes=1000)
    expected = write(alone, texts, 0, uniforms)
    disturbed = TrieSampler(rejects=True, max_nodes=1000)
    written, is_over = interrupted(disturbed, texts, 0, (), uniforms[:1])
    random = torch.Generator().manual_seed(0)
    for row in range(1, 50):
        write(disturbed, texts, row, torch.rand(6, generator=random).tolist())
    if not is_over:
        written, is_over = interrupted(disturbed, texts, 0, written, uniforms[1:])
    assert (written, is_over) == expected


def test_texts_that_end_together_teach_what_they_teach_one_by_one() -> None:
    texts: set[Text] = {(1, 2), (1, 3), (2, 5), (3, 3), (4, 1)}
    random = torch.Generator().manual_seed(0)
    draws = torch.rand(60, 4, generator=random).tolist()
    sampler = TrieSampler(rejects=False, max_nodes=1000)
    for row, uniforms in enumerate(draws):
        interrupted(sampler, texts, row, (), uniforms)
    for row in range(len(draws)):
        sampler.end(row)
    assert sampler.log_theta == pytest.approx(math.log(completion_mass(texts)), rel=1e-9)


def test_memory_is_bounded_and_the_bound_stays_one() -> None:
    texts: set[Text] = {(a, b, c) for a in range(1, 6) for b in range(1, 4) for c in range(1, 3)}
    random = torch.Generator().manual_seed(0)
    sampler = TrieSampler(rejects=True, max_nodes=9)
    for row in range(300):
        write(sampler, texts, row, torch.rand(6, generator=random).tolist())
        assert len(nodes(sampler._root)) == sampler.node_count <= 9
    assert completion_mass(texts) <= math.exp(sampler.log_theta) < 1


def test_an_impossible_language_is_given_up() -> None:
    log_p = torch.tensor([0.0, -math.inf, -math.inf], dtype=torch.float64)
    sampler = TrieSampler(rejects=False, max_nodes=10)
    drawn = sampler.draw(0, (), compile_choice(grammar({(1,)})), log_p, 0.5)
    assert drawn.ends_row
    sampler.end(0)
    assert sampler.log_theta == -math.inf
