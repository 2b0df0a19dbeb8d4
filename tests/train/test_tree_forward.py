"""One forward over prefix trees gives what TRL gives row by row: log-probabilities, entropies, losses and gradients."""

import copy
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from torch.nn.parallel import DistributedDataParallel
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import utils as trl_utilities
from trl.trainer.utils import add_fused_lm_head

from train import tree_scorer
from train.tree_forward import split_rows, tree_logps
from train.tree_masks import SDPA_OR_FLEX, enable_flex, probe_flex, sdpa_mask, sdpa_or_flex, tree_mask
from train.tree_scorer import PrefixTreeScorer

VOCABULARY = 60
SIZE = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}
SOFT_CAPS = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 4.0}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    "llama eager": lambda: LlamaForCausalLM(LlamaConfig(**SIZE, attn_implementation="eager")),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE)),
    "qwen2 mixed": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE, **MIXED, use_sliding_window=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZE, **MIXED, **SOFT_CAPS, query_pre_attn_scalar=8)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZE, **MIXED, query_pre_attn_scalar=8)),
    "mistral sliding": lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=4)),
}
COMPLETION = 7

Batch = tuple[torch.Tensor, torch.Tensor, int]


@pytest.fixture(scope="module")
def wide() -> Callable[[str], Any]:
    """Returns a function from a name in MODELS to that model, training, with wide weights and TRL's head."""

    def make(name: str) -> Any:
        model = MODELS[name]()
        random = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data = torch.randn(parameter.shape, generator=random) * 0.2
        add_fused_lm_head(model, temperature=0.7, outputs=("log_probs", "entropy"))
        return model.train()

    return make


def tree_batch() -> Batch:
    """Two prompts of different lengths; shared turns, a duplicate, a short row, and a row without a completion."""
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(1, VOCABULARY, (8, 6 + COMPLETION), generator=draw)
    seen = torch.ones_like(ids)
    ids[1:5, :6] = ids[0, :6]
    ids[1, :10] = ids[0, :10]  # shares four tokens of its completion
    ids[2] = ids[0]
    seen[3, 9:] = 0
    seen[4, 6:] = 0
    ids[6, :6] = ids[5, :6]
    seen[5:7, :2] = 0
    return ids, seen, COMPLETION


def row_scores(
    model: torch.nn.Module, ids: torch.Tensor, seen: torch.Tensor, width: int, *_: Any, **__: Any
) -> tuple[torch.Tensor, torch.Tensor, None]:
    """TRL's own rows: the body of `_get_per_token_logps_and_entropies` for text, without a trainer."""
    labels = ids.masked_fill(seen == 0, -100)
    labels[:, :-width] = -100
    output = model(input_ids=ids, attention_mask=seen, labels=labels, fused_lm_head=True)
    return output.log_probs[:, -width:], output.entropy[:, -width:], None


def gradient(model: torch.nn.Module, logps: torch.Tensor, entropies: torch.Tensor) -> torch.Tensor:
    """Of an arbitrary weighting of both, over all trained weights."""
    weights = torch.randn(logps.shape, generator=torch.Generator().manual_seed(5))
    model.zero_grad()
    (logps * weights + entropies * weights.flip(0)).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def assert_equal_to_rows(model: torch.nn.Module, batch: Batch) -> None:
    rows, row_entropies, _ = row_scores(model, *batch)
    expected = gradient(model, rows, row_entropies)
    logps, entropies = tree_logps(model, *batch, compute_entropy=True)
    assert entropies is not None
    found = gradient(model, logps, entropies)
    assert (logps - rows).abs().max() <= 1e-5
    assert (entropies - row_entropies).abs().max() <= 1e-5
    assert (found - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("checkpointing", [None, "reentrant", "not reentrant"])
@pytest.mark.parametrize("name", MODELS)
def test_scores_and_gradients_are_those_of_rows(
    wide: Callable[[str], Any], name: str, checkpointing: str | None
) -> None:
    model = wide(name)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": checkpointing == "reentrant"})
        model.enable_input_require_grads()
    assert_equal_to_rows(model, tree_batch())


@pytest.mark.parametrize("name", ["llama", "gemma3"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_scores_and_gradients_of_adapters_are_those_of_rows(
    wide: Callable[[str], Any], name: str, checkpointing: bool
) -> None:
    model = get_peft_model(wide(name), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    if checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    assert_equal_to_rows(model, tree_batch())


def test_a_model_wrapped_for_several_processes_scores_the_same(wide: Callable[[str], Any]) -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        assert_equal_to_rows(DistributedDataParallel(wide("gemma3")), tree_batch())
    finally:
        torch.distributed.destroy_process_group()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_rows_score_as_each_of_them_alone(wide: Callable[[str], Any], data: st.DataObject) -> None:
    model = _llama(wide)
    token = st.integers(1, 3)
    prompts = data.draw(st.lists(st.lists(token, min_size=1, max_size=4), min_size=1, max_size=2))
    rows = data.draw(st.lists(st.tuples(st.sampled_from(prompts), st.lists(token, max_size=5)), min_size=1, max_size=6))
    ids, seen = torch.zeros(len(rows), 9, dtype=torch.long), torch.zeros(len(rows), 9, dtype=torch.long)
    for number, (prompt, completion) in enumerate(rows):
        place = slice(4 - len(prompt), 4 + len(completion))
        ids[number, place], seen[number, place] = torch.tensor([*prompt, *completion]), 1
    with torch.no_grad():
        found = tree_logps(model, ids, seen, 5)[0]
        for logps, (prompt, completion) in zip(found, rows, strict=True):
            alone = torch.tensor([[*prompt, *completion]])
            logits = model(alone).logits[0] / 0.7
            expected = logits.log_softmax(-1)[:-1].gather(1, alone[0, 1:, None])[len(prompt) - 1 :, 0]
            torch.testing.assert_close(logps[: len(completion)], expected, rtol=0, atol=1e-5)
            assert (logps[len(completion) :] == 0).all()


@functools.cache
def _llama(wide: Callable[[str], Any]) -> Any:
    return wide("llama")


def test_a_micro_batch_without_any_completion_scores_zero_and_still_has_a_backward(wide: Callable[[str], Any]) -> None:
    model = wide("llama")
    ids, seen, width = tree_batch()
    seen[:, -width:] = 0
    logps, _ = tree_logps(model, ids, seen, width)
    logps.sum().backward()
    assert (logps == 0).all()
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_the_model_reads_each_token_once_and_the_head_scored_tokens_alone(
    wide: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = wide("llama")
    read, scored = [], []
    model.base_model.register_forward_pre_hook(
        lambda module, arguments, options: read.append(options["input_ids"].shape), with_kwargs=True
    )
    head = trl_utilities._ChunkedLogProbFunction.apply

    def recording_head(hidden: torch.Tensor, *arguments: Any) -> Any:
        scored.append(len(hidden))
        return head(hidden, *arguments)

    monkeypatch.setattr(trl_utilities._ChunkedLogProbFunction, "apply", recording_head)
    ids, seen = torch.randint(1, VOCABULARY, (3, 20)), torch.ones(3, 20, dtype=torch.long)
    ids[1, :16] = ids[0, :16]
    ids[2, :13] = ids[0, :13]
    ids[:, 12], ids[1:, 16], ids[2, 13] = 1, torch.tensor([2, 3]), 4
    ids[0, 16], ids[0, 13] = 5, 6
    ids[1, 13] = 6
    tree_logps(model, ids, seen, 8)
    assert read == [(1, 20 + 4 + 7)]
    assert scored == [8 + 4 + 7 + 1]  # and one place for rows without a token


def test_rows_with_gaps_are_refused() -> None:
    ids, seen, width = tree_batch()
    seen[0, 8] = 0
    with pytest.raises(ValueError, match="without gaps"):
        split_rows(ids, seen, width)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> GRPOTrainer:
    """A stock trainer on the tiny model with wide weights, and a reference model of its own."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    model = LlamaForCausalLM.from_pretrained(tiny_model)
    random = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn(parameter.shape, generator=random) * 0.1
    config = GRPOConfig(
        output_dir=str(tmp_path_factory.mktemp("trainer")), report_to="none", bf16=False, use_cpu=True,
        gradient_checkpointing=False, per_device_train_batch_size=8, num_generations=8, beta=0.04, temperature=0.7,
    )  # fmt: skip
    return GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **columns: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": "-"}]),
        processing_class=tokenizer,
    )


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"])
def test_every_loss_of_trl_and_its_gradient_are_those_of_rows(
    trainer: GRPOTrainer, monkeypatch: pytest.MonkeyPatch, loss: str, beta: float
) -> None:
    ids, seen, width = tree_batch()
    draw = torch.Generator().manual_seed(7)
    noise = torch.randn((2, len(ids), width), generator=draw) * 0.1
    with torch.no_grad():
        current = trainer._get_per_token_logps_and_entropies(trainer.model, ids, seen, width)[0]
    inputs = {
        "prompt_ids": ids[:, :-width],
        "prompt_mask": seen[:, :-width],
        "completion_ids": ids[:, -width:],
        "completion_mask": seen[:, -width:],
        "tool_mask": (torch.rand((len(ids), width), generator=draw) < 0.8).long(),
        "advantages": torch.randn((len(ids), width), generator=draw),
        "old_per_token_logps": current + noise[0],
        "ref_per_token_logps": current + noise[1],
        "num_items_in_batch": torch.tensor(30),
    }
    monkeypatch.setattr(trainer, "loss_type", loss)
    monkeypatch.setattr(trainer, "beta", beta)
    if loss == "luspo":
        monkeypatch.setattr(trainer, "importance_sampling_level", "sequence")
        inputs["advantages"] = inputs["advantages"][:, 0]
    expected, expected_gradient = loss_and_gradient(trainer, inputs)
    rows = trainer._get_per_token_logps_and_entropies
    scorer = PrefixTreeScorer(trainer.accelerator.autocast)
    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", functools.partial(scorer.score, rows))
    found, found_gradient = loss_and_gradient(trainer, inputs)
    assert scorer.reason(rows, trainer.model, ids.device) is None
    assert abs(found - expected) <= 1e-5 * max(abs(expected), 1)
    assert (found_gradient - expected_gradient).norm() <= 1e-5 * expected_gradient.norm()


def loss_and_gradient(trainer: GRPOTrainer, inputs: dict[str, Any]) -> tuple[float, torch.Tensor]:
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, copy.copy(inputs))
    loss.backward()
    return float(loss.detach()), torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


def test_rows_are_scored_in_batches_of_the_size_asked_for(wide: Callable[[str], Any]) -> None:
    model = wide("llama").eval()
    batch = tree_batch()
    with torch.no_grad():
        logps, entropies, aux = PrefixTreeScorer().score(row_scores, model, *batch, batch_size=3, compute_entropy=True)
        expected, expected_entropies, _ = row_scores(model, *batch)
    torch.testing.assert_close(logps, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(entropies, expected_entropies, rtol=0, atol=1e-5)
    assert aux is None


def reason_of(model: Any) -> str | None:
    return PrefixTreeScorer().reason(row_scores, model, torch.device("cpu"))


@pytest.mark.parametrize("name", MODELS)
def test_models_that_agree_with_their_rows_go_through_trees_whatever_drops(
    wide: Callable[[str], Any], name: str
) -> None:
    model = wide(name)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear"))
    adapted.get_base_model().lm_head.eval()
    modes = [module.training for module in adapted.modules()]
    assert reason_of(adapted) is None
    assert [module.training for module in adapted.modules()] == modes


def test_in_16_bits_rounding_is_no_disagreement(wide: Callable[[str], Any]) -> None:
    assert reason_of(wide("qwen3").to(torch.bfloat16)) is None
    scorer = PrefixTreeScorer(lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert scorer.reason(row_scores, wide("qwen3"), torch.device("cpu")) is None


def test_a_model_that_takes_no_mask_goes_row_by_row_and_one_line_says_why(caplog: pytest.LogCaptureFixture) -> None:
    model = BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=16, n_layer=1, n_head=2))
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    scorer = PrefixTreeScorer()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = scorer.score(row_scores, model, *tree_batch(), compute_entropy=True)
    assert torch.equal(found[0], row_scores(model, *tree_batch())[0])
    assert [record.getMessage() for record in caplog.records] == [
        "prefix trees are not used for the update of this model: its forward takes no position_ids"
    ]


def test_a_model_that_ignores_the_mask_is_found_out(wide: Callable[[str], Any], caplog: Any) -> None:
    model = wide("llama")
    backbone = model.model.forward
    model.model.forward = lambda *a, **options: backbone(*a, **{**options, "attention_mask": None})
    assert "its log-probabilities differ by" in str(reason_of(model))


def test_a_forward_that_refuses_the_mask_is_no_crash(wide: Callable[[str], Any], monkeypatch: Any) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise ValueError("no such mask")

    monkeypatch.setattr(tree_scorer, "tree_logps", refuse)
    assert reason_of(wide("llama")) == "its forward does not take tree masks (no such mask)"


def test_an_adapter_of_virtual_tokens_goes_row_by_row(wide: Callable[[str], Any]) -> None:
    adapted = get_peft_model(wide("llama"), PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    assert reason_of(adapted) == "its adapter puts tokens of its own before each row"


@pytest.mark.parametrize("extra", [{"compute_aux_loss": True}, {"pixel_values": torch.zeros(1)}])
def test_load_balancing_and_images_are_left_to_trl(extra: dict[str, Any]) -> None:
    seen: dict[str, Any] = {}

    def rows(*arguments: Any, **options: Any) -> Any:
        seen.update(options)
        return "rows"

    assert PrefixTreeScorer().score(rows, torch.nn.Linear(1, 1), *tree_batch(), **extra) == "rows"  # type: ignore[arg-type, comparison-overlap]
    assert seen.keys() >= extra.keys()


def take_block_masks(model: Any) -> None:
    """As `enable_flex`, without its probe, whose gradients need a GPU."""
    AttentionInterface.register(SDPA_OR_FLEX, sdpa_or_flex)
    AttentionMaskInterface.register(SDPA_OR_FLEX, sdpa_mask)
    model.set_attn_implementation(SDPA_OR_FLEX)


@pytest.mark.parametrize("name", ["llama", "qwen2 mixed", "gemma3", "mistral sliding"])
def test_block_masks_give_the_scores_of_rows(wide: Callable[[str], Any], name: str) -> None:
    model = wide(name).eval()
    batch = tree_batch()
    with torch.no_grad():
        expected = row_scores(model, *batch)[0]
        take_block_masks(model)
        assert not isinstance(tree_mask(model, torch.ones(1, 1).long(), torch.zeros(1, 1).long()), torch.Tensor)
        found = tree_logps(model, *batch)[0]
        plain = row_scores(model, *batch)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert torch.equal(plain, expected)  # what is no block mask is SDPA as before


def test_flex_attention_that_cannot_train_here_changes_nothing(wide: Callable[[str], Any]) -> None:
    model = wide("llama")
    assert probe_flex(4, 8, torch.float32, torch.device("cpu")) is not None
    assert enable_flex(model) is not None
    assert model.config._attn_implementation == "sdpa"
