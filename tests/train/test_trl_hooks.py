"""Canaries: which internals moved when TRL is upgraded. train/trainer.py rests on these and no other."""

import inspect

import torch
from transformers import Trainer
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import shuffle_sequence_dict, split_tensor_dict


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


def test_log_probabilities_come_from_one_method_with_these_arguments() -> None:
    names = parameters(GRPOTrainer._get_per_token_logps_and_entropies)
    assert names[:8] == [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy",
        "compute_aux_loss",
    ]  # fmt: skip
    assert "per_token_logps, entropies, aux_loss = self._get" in inspect.getsource(GRPOTrainer._compute_loss)


def test_a_window_is_kept_as_a_list_of_micro_batches_and_counted_in_steps() -> None:
    source = inspect.getsource(GRPOTrainer._prepare_inputs)
    assert "self._buffered_inputs[self._step % self.args.steps_per_generation]" in source
    assert "generate_every = self.args.steps_per_generation * self.num_iterations" in source
    assert "self._step += 1" in inspect.getsource(GRPOTrainer.training_step)
    assert parameters(split_tensor_dict) == ["tensor_dict", "num_chunks"]


def test_advantages_may_be_given_token_by_token_and_masks_are_read_from_the_inputs() -> None:
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert "if advantages.dim() == 1:" in source
    assert 'completion_mask if "tool_mask" not in inputs else completion_mask * inputs["tool_mask"]' in source
    assert 'inputs["num_items_in_batch"].clamp(min=1.0)' in source


def test_curves_of_truncation_that_are_replaced_exist() -> None:
    source = inspect.getsource(GRPOTrainer._generate)
    for name in ("clipped_ratio", "mean_terminated_length", "min_terminated_length", "max_terminated_length"):
        assert f'self._metrics[mode]["completions/{name}"].append(' in source


def test_checkpoints_save_the_random_state_of_each_process_before_the_state_of_the_trainer() -> None:
    source = inspect.getsource(Trainer._save_checkpoint)
    assert source.index("self._save_rng_state(output_dir)") < source.index("self.state.save_to_json(")
    assert parameters(Trainer._save_rng_state) == ["self", "output_dir"]
    assert parameters(Trainer._load_rng_state) == ["self", "checkpoint"]
    assert "self._load_rng_state(resume_from_checkpoint)" in inspect.getsource(Trainer._run_epoch)


def test_lists_of_rows_survive_where_trl_shuffles_and_splits_a_window() -> None:
    inputs = {"ids": torch.arange(4), "grammars": ["a", "b", "c", "d"], "total": torch.tensor(1)}
    parts = split_tensor_dict(shuffle_sequence_dict(inputs), 2)
    for part in parts:
        assert part["grammars"] == ["abcd"[place] for place in part["ids"].tolist()]


def test_the_loss_is_one_method_of_the_micro_batch_and_scores_of_a_window_need_no_gradient_checkpointing() -> None:
    assert parameters(GRPOTrainer._compute_loss) == ["self", "model", "inputs"]
    assert parameters(disable_gradient_checkpointing) == ["model", "gradient_checkpointing_kwargs"]
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs)" in source
    # The window is scored after the rollouts are made, in their order.
    assert source.index("self._generate(prompts)") < source.index("self._get_per_token_logps_and_entropies(")


def test_the_adaptive_entropy_bonus_keeps_its_state_in_these_places() -> None:
    source = inspect.getsource(GRPOTrainer._load_optimizer_and_scheduler)
    assert "self.entropy_coef" in source and "self._last_world_entropy" in source
