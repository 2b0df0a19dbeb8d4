"""Which models go through prefix trees, which go row by row, and that one line says why."""

import inspect
import logging
from typing import Any

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from transformers import AttentionInterface, AttentionMaskInterface, BloomConfig, BloomForCausalLM
from tree_models import MODELS, VOCABULARY, row_scores, tree_batch, wide_model
from trl import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from decoding import attention_masks
from decoding.attention_masks import attention_windows
from train import tree_scorer
from train.prefix_tree import Forest, pack
from train.tree_forward import forest_logps, tree_logps
from train.tree_masks import SDPA_OR_FLEX, disable_flex, enable_flex, probe_flex, sdpa_mask, sdpa_or_flex, tree_mask
from train.tree_scorer import PrefixTreeScorer


def test_rows_are_scored_in_batches_of_the_size_asked_for() -> None:
    model = wide_model("llama").eval()
    batch = tree_batch()
    with torch.no_grad():
        logps, entropies, aux = PrefixTreeScorer().score(row_scores, model, *batch, batch_size=3, compute_entropy=True)
        expected, expected_entropies, _ = row_scores(model, *batch)
    torch.testing.assert_close(logps, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(entropies, expected_entropies, rtol=0, atol=1e-5)
    assert aux is None


def test_micro_batches_that_share_too_little_go_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wide_model("llama").eval()
    ids, seen, width = tree_batch()
    apart = torch.randint(1, VOCABULARY, ids.shape, generator=torch.Generator().manual_seed(4))
    ids, seen = torch.cat([ids[:4], apart[:4]]), torch.cat([seen[:4], seen[:1].expand(4, -1)])
    scorer = PrefixTreeScorer()
    assert scorer.reason(row_scores, model, ids.device) is None
    by_rows, by_trees = [], []

    def rows(model: Any, ids: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        by_rows.append(ids)
        return row_scores(model, ids, *arguments, **options)

    def trees(*arguments: Any, **options: Any) -> Any:
        by_trees.append(arguments[1].tokens.shape)
        return forest_logps(*arguments, **options)

    monkeypatch.setattr(tree_scorer, "forest_logps", trees)
    with torch.no_grad():
        for compute_entropy in (True, False):
            logps, entropies, _ = scorer.score(
                rows, model, ids, seen, width, batch_size=4, compute_entropy=compute_entropy
            )
            expected, expected_entropies, _ = row_scores(model, ids, seen, width)
            torch.testing.assert_close(logps, expected, rtol=0, atol=1e-5)
            if compute_entropy:
                torch.testing.assert_close(entropies, expected_entropies, rtol=0, atol=1e-5)
            else:
                assert entropies is None
    assert [one.tolist() for one in by_rows] == [ids[4:].tolist()] * 2
    assert len(by_trees) == 2


def test_trl_still_scores_micro_batches_in_the_method_that_trees_stand_in_for() -> None:
    method = GRPOTrainer._get_per_token_logps_and_entropies
    names = list(inspect.signature(method).parameters)
    assert names[1:8] == list(inspect.signature(PrefixTreeScorer.score).parameters)[2:9]
    assert "self._get_per_token_logps_and_entropies(" in inspect.getsource(GRPOTrainer._compute_loss)
    assert "labels = shift_labels" in inspect.getsource(add_fused_lm_head)


def reason_of(model: Any) -> str | None:
    return PrefixTreeScorer().reason(row_scores, model, torch.device("cpu"))


@pytest.mark.parametrize("name", MODELS)
def test_models_that_agree_with_their_rows_go_through_trees_whatever_drops(name: str) -> None:
    model = wide_model(name)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear"))
    adapted.get_base_model().lm_head.eval()
    modes = [module.training for module in adapted.modules()]
    assert reason_of(adapted) is None
    assert [module.training for module in adapted.modules()] == modes


def test_in_16_bits_rounding_is_no_disagreement() -> None:
    assert reason_of(wide_model("qwen3").to(torch.bfloat16)) is None
    scorer = PrefixTreeScorer(lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert scorer.reason(row_scores, wide_model("qwen3"), torch.device("cpu")) is None


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


def test_a_model_that_ignores_the_mask_is_found_out(caplog: Any) -> None:
    model = wide_model("llama")
    backbone = model.model.forward
    model.model.forward = lambda *a, **options: backbone(*a, **{**options, "attention_mask": None})
    assert "its log-probabilities differ by" in str(reason_of(model))


def leak(forest: Forest) -> None:
    """The second branch sees the first token of the first."""
    forest.ends[0, 15] = forest.tokens.shape[1]


def hide(forest: Forest) -> None:
    """The second branch does not see the last token that both share."""
    forest.ends[0, 14] = forest.ends[0, 15]


def shift(forest: Forest) -> None:
    """The second branch stands one position too far on."""
    forest.depths[0, forest.ends[0, 15] :] += 1


@pytest.mark.parametrize("mistake", [leak, hide, shift])
def test_one_token_seen_or_moved_is_found_out_in_16_bits(monkeypatch: pytest.MonkeyPatch, mistake: Any) -> None:
    model = wide_model("qwen3").bfloat16()

    def wrong(*arguments: Any) -> Forest:
        forest = pack(*arguments)
        mistake(forest)
        return forest

    monkeypatch.setattr("train.tree_forward.pack", wrong)
    assert "its log-probabilities differ by" in str(reason_of(model))


@pytest.mark.parametrize("name", ["gemma3", "mistral sliding"])
@pytest.mark.parametrize("window", [3, 5])
def test_a_window_that_is_read_wrong_is_found_out(name: str, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason_of(wide_model(name)) is None
    monkeypatch.setattr(
        attention_masks, "attention_windows",
        lambda config: {kind: found and window for kind, found in attention_windows(config).items()},
    )  # fmt: skip
    assert "its log-probabilities differ by" in str(reason_of(wide_model(name)))


@pytest.mark.parametrize(("window", "length"), [(30, 60), (512, 1024), (513, 12), (None, 12)])
def test_the_check_reaches_beyond_windows_of_some_hundreds(window: int | None, length: int) -> None:
    model = wide_model("mistral sliding")
    model.config.sliding_window = window
    widths = []

    def rows(model: Any, ids: torch.Tensor, *arguments: Any) -> Any:
        widths.append(ids.shape[1])
        raise StopIteration

    with pytest.raises(StopIteration):
        PrefixTreeScorer().reason(rows, model, torch.device("cpu"))
    assert widths == [length + 3 + 16]


@pytest.mark.parametrize("error", [ValueError, TypeError, RuntimeError])
def test_a_forward_that_refuses_the_mask_is_no_crash(monkeypatch: Any, error: type[Exception]) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise error("no such mask")

    monkeypatch.setattr(tree_scorer, "tree_logps", refuse)
    assert reason_of(wide_model("llama")) == "its forward does not take tree masks (no such mask)"


def test_an_adapter_of_virtual_tokens_goes_row_by_row() -> None:
    adapted = get_peft_model(wide_model("llama"), PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    assert reason_of(adapted) == "its adapter puts tokens of its own before each row"


def test_a_mixture_of_experts_that_balances_its_load_goes_row_by_row() -> None:
    model = wide_model("llama")
    model.config.output_router_logits = True
    assert reason_of(model) == "its load-balancing loss counts tokens row by row"


def test_a_compiled_model_goes_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_scorer, "is_compiled_module", lambda model: True)  # compiling one takes seconds
    assert "it is compiled" in str(reason_of(wide_model("llama")))


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


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("name", ["llama", "qwen2 mixed", "gemma3", "mistral sliding"])
def test_block_masks_give_the_scores_of_rows(name: str) -> None:
    model = wide_model(name).eval()
    batch = tree_batch()
    with torch.no_grad():
        expected = row_scores(model, *batch)[0]
        take_block_masks(model)
        assert not isinstance(tree_mask(model, torch.ones(1, 1).long(), torch.zeros(1, 1).long()), torch.Tensor)
        found = tree_logps(model, *batch)[0]
        plain = row_scores(model, *batch)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert torch.equal(plain, expected)  # what is no block mask is SDPA as before


def test_flex_attention_that_cannot_train_here_changes_nothing() -> None:
    model = wide_model("llama")
    assert probe_flex(4, 8, torch.float32, torch.device("cpu")) is not None
    assert enable_flex(model) is not None
    assert model.config._attn_implementation == "sdpa"
    take_block_masks(model)
    disable_flex(model)
    assert model.config._attn_implementation == "sdpa"
    eager = wide_model("llama eager")
    disable_flex(eager)
    assert eager.config._attn_implementation == "eager"
