"""The head under masks: log q, entropy, log Z and their gradients are those of logits in full."""

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction
from trl.trainer import utils as trl_head
from trl.trainer.utils import add_fused_lm_head

from train import masked_head as masked_head_module
from train.masked_head import MaskedHead, masked_head

STATES, WIDTH, VOCABULARY = 23, 8, 70


def as_words(allowed: Tensor) -> Tensor:
    """(K, V) booleans as (K, W) words."""
    padded = torch.nn.functional.pad(allowed, (0, -allowed.shape[1] % 32)).view(len(allowed), -1, 32).long()
    sums = (padded << torch.arange(32)).sum(-1)
    return torch.where(sums >= 2**31, sums - 2**32, sums).to(torch.int32)


def case(seed: int, *, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Hidden states, a head, masks, of which some states have none, and targets that are allowed."""
    draw = torch.Generator().manual_seed(seed)
    hidden, weight = (torch.randn(size, WIDTH, generator=draw).to(dtype) for size in (STATES, VOCABULARY))
    bias = torch.randn(VOCABULARY, generator=draw).to(dtype)
    allowed = torch.rand(5, VOCABULARY, generator=draw) < torch.rand(5, 1, generator=draw) * 0.5
    allowed[:, 3] = True
    allowed[0] = False
    allowed[0, 69] = True
    numbers = torch.randint(-1, 5, (STATES,), generator=draw)
    full = allowed[numbers.clamp(min=0)] | (numbers < 0)[:, None]
    targets = full.float().multinomial(1, generator=draw)[:, 0]
    parameters = [value.requires_grad_() for value in (hidden, weight, bias)]
    return {"parameters": parameters, "allowed": allowed, "numbers": numbers, "full": full, "targets": targets}


def naive(one: dict[str, Any], temperature: float, soft_cap: float | None, scale: float) -> tuple[Tensor, ...]:
    hidden, weight, bias = one["parameters"]
    logits = (hidden @ weight.t() + bias).float() * scale
    if soft_cap is not None:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    logits = logits / temperature
    masked = logits.masked_fill(~one["full"], -torch.inf)
    log_q = masked.log_softmax(1)
    entropy = -(log_q.exp() * log_q.masked_fill(~one["full"], 0)).sum(1)
    log_z = masked.logsumexp(1) - logits.logsumexp(1)
    return log_q.gather(1, one["targets"][:, None])[:, 0], entropy, log_z


@pytest.mark.parametrize(("soft_cap", "scale"), [(None, 1.0), (4.0, 1.3)])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), chunk=st.sampled_from([32, 64, 96]), tile=st.sampled_from([5, 1024]))
def test_values_and_gradients_are_those_of_logits_in_full(
    soft_cap: float | None, scale: float, seed: int, chunk: int, tile: int
) -> None:
    one = case(seed)
    head = MaskedHead(one["numbers"], as_words(one["allowed"]))
    weights = torch.randn(2, STATES, generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masked_head_module, "TILE_TOKENS", tile)
        log_q, entropy, *_ = head.apply(
            *one["parameters"], one["targets"], 0.7, chunk, soft_cap, scale, ("log_probs", "entropy")
        )
        found = torch.autograd.grad((weights[0] * log_q + weights[1] * entropy).sum(), one["parameters"])
    expected_log_q, expected_entropy, expected_log_z = naive(one, 0.7, soft_cap, scale)
    loss = (weights[0] * expected_log_q + weights[1] * expected_entropy).sum()
    expected = torch.autograd.grad(loss, one["parameters"])
    torch.testing.assert_close(log_q, expected_log_q, rtol=0, atol=1e-5)
    torch.testing.assert_close(entropy, expected_entropy, rtol=0, atol=1e-5)
    torch.testing.assert_close(head.log_z, expected_log_z, rtol=0, atol=1e-5)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).norm() <= 1e-5 * theirs.norm()


def test_without_masks_it_is_trls_own_function() -> None:
    one = case(1)
    head = MaskedHead(torch.full((STATES,), -1), torch.zeros(0, 0, dtype=torch.int32))
    options = (0.7, 32, None, 1.0, ("log_probs", "entropy"))
    functions = (head.apply, ChunkedLogProbFunction.apply)
    found, expected = (function(*one["parameters"], one["targets"], *options) for function in functions)
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    assert head.log_z is not None and (head.log_z == 0).all()


def test_tokens_that_the_mask_excludes_get_no_gradient() -> None:
    one = case(2)
    head = MaskedHead(torch.zeros(STATES, dtype=torch.long), as_words(one["allowed"][1:2]))
    targets = torch.full((STATES,), 3)
    log_q = head.apply(*one["parameters"], targets, 1.0, 32, None, 1.0, ())[0]
    assert log_q is not None
    (of_weight,) = torch.autograd.grad(log_q.sum(), one["parameters"][1:2])
    assert (of_weight[~one["allowed"][1]] == 0).all() and (of_weight[one["allowed"][1]] != 0).any()


def test_in_bfloat16_and_under_autocast_it_rounds_as_trls_function_does() -> None:
    numbers, words = torch.full((STATES,), -1), torch.zeros(0, 0, dtype=torch.int32)
    options = (1.0, 32, None, 1.0, ("log_probs", "entropy"))
    for dtype, is_autocast in ((torch.bfloat16, False), (torch.float32, True)):
        one = case(3, dtype=dtype)
        gradients = []
        for function in (MaskedHead(numbers, words).apply, ChunkedLogProbFunction.apply):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
                log_p = function(*one["parameters"], one["targets"], *options)[0]
            gradients.append(torch.autograd.grad(log_p.sum(), one["parameters"]))
        for mine, theirs in zip(*gradients, strict=True):
            assert mine.dtype == theirs.dtype == dtype
            assert (mine - theirs).float().norm() <= 5e-3 * theirs.float().norm()


def test_no_hidden_states_still_have_a_backward() -> None:
    one = case(4)
    hidden = torch.zeros(0, WIDTH, requires_grad=True)
    head = MaskedHead(torch.zeros(0, dtype=torch.long), torch.zeros(0, 0, dtype=torch.int32))
    log_q = head.apply(hidden, *one["parameters"][1:], torch.zeros(0, dtype=torch.long), 1.0, 32, None, 1.0, ())[0]
    assert log_q is not None
    log_q.sum().backward()
    assert (one["parameters"][1].grad == 0).all()


def test_trl_calls_its_function_by_this_name_and_with_these_arguments_and_gets_it_back() -> None:
    own = trl_head._ChunkedLogProbFunction
    with masked_head(torch.zeros(1), torch.zeros(1, 1)) as head:
        assert trl_head._ChunkedLogProbFunction is head
    assert trl_head._ChunkedLogProbFunction is own is ChunkedLogProbFunction
    source = inspect.getsource(add_fused_lm_head)
    call = source[source.index("_ChunkedLogProbFunction.apply(") :]
    order = ["hidden_states", "weight", "bias", "labels", "temperature", "_CHUNK_SIZE", "final_logit", "logit_scale",
             "outputs"]  # fmt: skip
    places = [call.index(name) for name in order]
    assert places == sorted(places)
    assert "None if x is None else" in source
