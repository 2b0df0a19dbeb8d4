"""One forward over prefix trees gives what TRL gives row by row: log-probabilities, entropies, losses and gradients."""

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_model import widen
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from tree_models import MODELS, VOCABULARY, Batch, row_scores, tree_batch, wide_model
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import utils as trl_utilities

from train import tree_forward
from train.tree_forward import forest_logps, lay_out, split_rows, tree_logps
from train.tree_masks import tree_mask
from train.tree_scorer import PrefixTreeScorer


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
def test_scores_and_gradients_are_those_of_rows(name: str, checkpointing: str | None) -> None:
    model = wide_model(name)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": checkpointing == "reentrant"})
        model.enable_input_require_grads()
    assert_equal_to_rows(model, tree_batch())


@pytest.mark.parametrize("name", ["llama", "gemma3"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_scores_and_gradients_of_adapters_are_those_of_rows(name: str, checkpointing: bool) -> None:
    model = get_peft_model(wide_model(name), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    if checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    assert_equal_to_rows(model, tree_batch())


def test_a_model_wrapped_for_several_processes_scores_the_same() -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        assert_equal_to_rows(DistributedDataParallel(wide_model("gemma3")), tree_batch())
    finally:
        torch.distributed.destroy_process_group()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_rows_score_as_each_of_them_alone(data: st.DataObject) -> None:
    model = _llama()
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
def _llama() -> Any:
    return wide_model("llama")


def test_a_micro_batch_without_any_completion_scores_zero_and_still_has_a_backward() -> None:
    model = wide_model("llama")
    ids, seen, width = tree_batch()
    seen[:, -width:] = 0
    logps, _ = tree_logps(model, ids, seen, width)
    logps.sum().backward()
    assert (logps == 0).all()
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_the_model_reads_each_token_once_and_the_head_scored_tokens_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wide_model("llama")
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


def shared_rows(group: int, prompt: int, completion: int, *, padded: bool = False) -> Batch:
    """Rows of one prompt, whose completions differ from their first token on."""
    draw = torch.Generator().manual_seed(1)
    prompts = torch.randint(1, VOCABULARY, (1, prompt), generator=draw).expand(group, -1)
    completions = torch.randint(1, VOCABULARY, (group, completion), generator=draw)
    completions[:, 0] = torch.arange(1, group + 1)
    ids = torch.cat([prompts, completions], dim=1)
    seen = torch.ones_like(ids)
    if padded:
        seen[0, -1] = 0
    return ids, seen, completion


def test_a_micro_batch_is_laid_out_where_that_saves_a_tenth_of_what_its_rows_cost() -> None:
    def is_laid_out(batch: Batch) -> bool:
        return lay_out(_llama(), *batch) is not None

    assert not is_laid_out(shared_rows(1, 40, 8))
    assert is_laid_out(shared_rows(2, 40, 8)) and is_laid_out(tree_batch())
    # Rows without padding cost about half as much attention.
    assert not is_laid_out(shared_rows(2, 110, 50))
    assert is_laid_out(shared_rows(2, 110, 50, padded=True))
    # Too little shared to save a tenth.
    assert not is_laid_out(shared_rows(2, 9, 91, padded=True))


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_masks_are_kept_below_a_limit_by_cutting_trees(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = wide_model(name)
    batch = shared_rows(4, 20, 20, padded=True)
    mask_bytes = []

    def size_of(mask: Any) -> int:
        return sum(one.nbytes for one in (mask.values() if isinstance(mask, dict) else [mask]))

    def recorded(*arguments: Any) -> Any:
        mask = tree_mask(*arguments)
        mask_bytes.append(size_of(mask))
        return mask

    monkeypatch.setattr(tree_forward, "tree_mask", recorded)
    kinds = 2 if name == "gemma3" else 1
    for limit, trees in ((99**2, 1), (99**2 - 1, 2), (2 * 60**2 - 1, None), (0, None)):
        monkeypatch.setattr(tree_forward, "MOST_MASK_BYTES", limit * 4 * kinds)
        forest = lay_out(model, *batch)
        assert (None if forest is None else len(forest.tokens)) == trees
        if forest is not None:
            found, _ = forest_logps(model, forest, batch[0].device)
            torch.testing.assert_close(found, row_scores(model, *batch)[0], rtol=0, atol=1e-5)
            assert mask_bytes.pop() <= limit * 4 * kinds


@pytest.mark.parametrize("autocast", [False, True])
def test_no_layer_keeps_a_mask_of_its_own_for_backward(autocast: bool) -> None:
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    model = wide_model("llama")
    ids, seen, width = shared_rows(2, 40, 8)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            tree_logps(model, ids, seen, width)
    pairs = [tensor for tensor in kept.values() if tensor.untyped_storage().nbytes() // tensor.itemsize == 56 * 56]
    assert [tensor.dtype for tensor in pairs] == [torch.bfloat16 if autocast else torch.float32]


def test_rows_with_gaps_are_refused() -> None:
    ids, seen, width = tree_batch()
    seen[0, 8] = 0
    with pytest.raises(ValueError, match="without gaps"):
        split_rows(ids, seen, width)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> GRPOTrainer:
    """A stock trainer on the tiny model with wide weights, and a reference model of its own."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    model = widen(LlamaForCausalLM.from_pretrained(tiny_model), 0.1)
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
