"""Canaries: which internals moved when TRL is upgraded. train/trainer.py rests on these and no other."""

import inspect

from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_constructor_takes_what_we_pass() -> None:
    passed = {
        "model", "reward_funcs", "args", "train_dataset", "processing_class", "callbacks", "peft_config",
        "rollout_func",
    }  # fmt: skip
    assert passed <= set(parameters(GRPOTrainer.__init__))


def test_rows_still_pass_through_the_overridden_hook() -> None:
    assert parameters(GRPOTrainer._generate_and_score_completions) == ["self", "inputs"]


def test_a_rollout_function_is_called_with_prompts_and_trainer_and_its_extra_columns_reach_the_rewards() -> None:
    source = inspect.getsource(GRPOTrainer._generate)
    assert "self.rollout_func(prompts, self)" in source
    assert 'required_keys = {"prompt_ids", "completion_ids", "logprobs"}' in source
    assert 'extra_fields.pop("env_mask", None)' in source
    assert "inp[key] = values[i]" in inspect.getsource(GRPOTrainer._generate_and_score_completions)


def test_unjudged_rollouts_are_left_out_of_the_baseline_by_trl() -> None:
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "rewards[unscorable_mask] = torch.nan" in source
    assert "torch.nan_to_num(advantages, nan=0.0)" in source


def test_rewards_can_log_metrics() -> None:
    assert 'reward_kwargs["log_metric"] = self._log_metric' in inspect.getsource(GRPOTrainer._calculate_rewards)


def test_parts_are_normalised_apart_with_weights_that_are_read_at_every_batch() -> None:
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert 'elif self.multi_objective_aggregation == "normalize_then_sum":' in source
    assert "rewards = (reward_k * self.reward_weights.to(device).unsqueeze(0)).nansum(dim=1)" in source


def test_metrics_are_kept_by_mode_and_name_until_they_are_logged() -> None:
    assert 'self._metrics[mode]["reward"].append(' in inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "self._metrics[mode].items()" in inspect.getsource(GRPOTrainer.log)


def test_a_model_can_be_unwrapped_for_generation() -> None:
    assert parameters(unwrap_model_for_generation)[:2] == ["model", "accelerator"]


def test_every_refused_field_exists() -> None:
    from train.config import REFUSED_TRAINER_FIELDS

    known = set(GRPOConfig.__dataclass_fields__)
    assert set(REFUSED_TRAINER_FIELDS) <= known
