"""Masks for arbitrary visibility: each model gives what it gives to the plain text."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from decoding.attention_masks import (
    FULL,
    SLIDING,
    attention_windows,
    make_attention_mask,
    query_dtype,
    unsupported_attention,
)

SIZE = {
    "vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
MIXED = {"layer_types": [SLIDING, FULL], "sliding_window": 3}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    "llama eager": lambda: LlamaForCausalLM(LlamaConfig(**SIZE, attn_implementation="eager")),
    "mistral sliding": lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=3)),
    "qwen3 mixed": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE, **MIXED, use_sliding_window=True)),
    "gemma2 mixed, eager": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZE, **MIXED, query_pre_attn_scalar=8)),
    "gemma3 mixed": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZE, **MIXED, query_pre_attn_scalar=8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_text_whose_tokens_stand_anywhere_among_the_keys_is_read_as_the_plain_text(name: str, widen: Any) -> None:
    model = widen(MODELS[name]()).eval()
    text = torch.randint(1, 50, (1, 9), generator=torch.Generator().manual_seed(1))
    order = torch.tensor([4, 0, 7, 2, 8, 1, 3, 6, 5])  # the positions, as they lie side by side
    visible = (order[None, :] <= order[:, None])[None]
    mask = make_attention_mask(model.config, visible, order[None], order[None], torch.float32)
    with torch.no_grad():
        plain = model(text).logits[0]
        shuffled = model(text[:, order], attention_mask=mask, position_ids=order[None]).logits[0]
    torch.testing.assert_close(shuffled, plain[order], rtol=0, atol=1e-5)


@given(st.data())
def test_a_mask_is_visibility_within_the_window(data: st.DataObject) -> None:
    rows, queries, keys = (data.draw(st.integers(1, 4)) for _ in range(3))
    window = data.draw(st.integers(1, 4))
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    visible = torch.rand((rows, queries, keys), generator=draw) < 0.5
    query_positions = torch.randint(0, 6, (rows, queries), generator=draw)
    key_positions = torch.randint(0, 6, (rows, keys), generator=draw)
    config = Qwen3Config(**SIZE, layer_types=[SLIDING, FULL], sliding_window=window, use_sliding_window=True)
    config._attn_implementation = data.draw(st.sampled_from(["sdpa", "eager"]))
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16]))
    masks = make_attention_mask(config, visible, query_positions, key_positions, dtype)
    assert isinstance(masks, dict) and {mask.dtype for mask in masks.values()} == {dtype}
    least = torch.finfo(dtype).min
    for row, query, key in itertools.product(range(rows), range(queries), range(keys)):
        near = bool(query_positions[row, query] - key_positions[row, key] < window)
        for kind, seen in ((FULL, visible[row, query, key]), (SLIDING, visible[row, query, key] & near)):
            assert masks[kind][row, 0, query, key].item() == (0.0 if seen else least)


class Recorder(TorchDispatchMode):
    """Keeps what the kernels of attention are handed, below autocast, and the sizes of whatever is made."""

    def __init__(self) -> None:
        super().__init__()
        self.attended: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.made: list[tuple[torch.dtype, int]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        if "scaled_dot_product" in str(function):
            mask = next(one for one in [*args[3:], *(kwargs or {}).values()] if isinstance(one, torch.Tensor))
            self.attended.append((args[0], mask))
        if isinstance(output, torch.Tensor):
            self.made.append((output.dtype, output.numel()))
        return output


@pytest.mark.parametrize("kind", ["32 bits", "16 bits", "autocast"])
def test_all_layers_read_one_mask_of_the_type_of_their_queries(kind: str) -> None:
    """Kernels convert a mask of any other type, in each layer, and keep what they made for backward."""
    model = MODELS["llama"]()
    if kind == "16 bits":
        model = model.bfloat16()
    places = torch.arange(9)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "autocast"), Recorder() as recorder:
        mask = make_attention_mask(
            model.config, places[:, None] <= places[:, :, None], places, places, query_dtype(model)
        )
        model(places, attention_mask=mask, position_ids=places)
    assert isinstance(mask, torch.Tensor) and len(recorder.attended) == 2
    for query, handed in recorder.attended:
        assert query.dtype == handed.dtype == (torch.float32 if kind == "32 bits" else torch.bfloat16)
        assert handed.data_ptr() == mask.data_ptr()


def test_a_window_makes_no_integers_of_the_size_of_the_mask() -> None:
    places = torch.arange(50)[None]
    visible = places[:, None] <= places[:, :, None]
    with Recorder() as recorder:
        make_attention_mask(MODELS["mistral sliding"]().config, visible, places, places, torch.float32)
    assert max(size for dtype, size in recorder.made if dtype == torch.bool) == 50 * 50
    assert max(size for dtype, size in recorder.made if dtype == torch.long) == 50


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("queries", [1, 5])
def test_a_query_that_sees_nothing_makes_numbers_and_lines_of_masks_are_aligned(
    dtype: torch.dtype, queries: int
) -> None:
    visible = torch.zeros(2, queries, 5, dtype=torch.bool)
    visible[0] = True
    places = torch.arange(5).expand(2, -1)
    mask = make_attention_mask(MODELS["llama"]().config, visible, places[:, :queries], places, dtype)
    assert isinstance(mask, torch.Tensor) and all(stride % 8 == 0 for stride in mask.stride()[:-1])
    inputs = [torch.randn(2, 2, count, 8, dtype=dtype).mul(9).requires_grad_() for count in (queries, 5, 5)]
    output = torch.nn.functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    assert all(one.isfinite().all() for one in (output, *torch.autograd.grad(output.sum(), inputs)))


def test_kinds_of_layers_are_read_from_either_form_of_configuration() -> None:
    assert attention_windows(LlamaConfig(**SIZE)) == {FULL: None}
    assert attention_windows(MistralConfig(**SIZE, sliding_window=3)) == {SLIDING: 3}
    assert attention_windows(Gemma3TextConfig(**SIZE, **MIXED)) == {FULL: None, SLIDING: 3}


@pytest.mark.parametrize("name", MODELS)
def test_models_with_full_and_sliding_layers_are_supported(name: str) -> None:
    assert unsupported_attention(MODELS[name]()) is None


def test_models_that_take_no_such_mask_are_named_with_the_reason() -> None:
    bloom = BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2))
    assert unsupported_attention(bloom) == "its forward takes no position_ids"
    mamba = MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4))
    assert unsupported_attention(mamba) is not None
    flash = LlamaForCausalLM(LlamaConfig(**SIZE))
    flash.config._attn_implementation = "flash_attention_2"
    assert unsupported_attention(flash) == "its attention is flash_attention_2; only sdpa and eager take any mask"
    chunked = LlamaForCausalLM(LlamaConfig(**SIZE))
    chunked.config.layer_types = ["chunked_attention", FULL]
    assert "chunked_attention" in str(unsupported_attention(chunked))


def test_positions_of_another_shape_are_refused() -> None:
    visible = torch.ones(1, 2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"positions must be \(1, 2\) and \(1, 3\)"):
        make_attention_mask(LlamaConfig(**SIZE), visible, torch.zeros(1, 3), torch.zeros(1, 3), torch.float32)
