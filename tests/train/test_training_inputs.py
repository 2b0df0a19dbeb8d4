"""What reaches TRL's loss of a batch of several turns: masks, advantages by token, and nothing of observations."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from scripted import Echo
from tiny_model import build_tagging_model
from trl import GRPOConfig

from decoding.budgets import Budgets
from decoding.models import ModelConfig, load_model, load_tokenizer
from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.task import Task
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig, UnjudgedLimit
from rewards.credit import sibling_advantages
from train.advantages import CreditConfig
from train.reward_state import RewardState
from train.rollout_config import RolloutConfig
from train.trainer import StructuredGRPOTrainer

MakeTrainer = Callable[..., StructuredGRPOTrainer]
GROUP = 4


class MathLikeEcho(Echo):
    """An environment whose rewards are known to the registry; right is who wrote an odd number of tags."""

    name = "math"

    def judge(self, episodes: Any) -> Any:
        from envs.math.judge import MathVerdict

        return [
            MathVerdict(is_correct=text.text.count("<") % 2 == 1, is_truncated=text.is_truncated)
            for _, text in episodes
        ]


@pytest.fixture(scope="module")
def episode_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = ["<step>", "</step>", "<answer>", "</answer>"]
    return build_tagging_model(tmp_path_factory.mktemp("episode_model"), tags)


@pytest.fixture
def make_trainer(episode_model: Path, tmp_path: Path) -> MakeTrainer:
    def make(
        *,
        rollout: RolloutConfig | None = None,
        credit: CreditConfig | None = None,
        prefix_tree: bool = True,
        peft_config: Any = None,
        **args: Any,
    ) -> StructuredGRPOTrainer:
        environment = MathLikeEcho(longest_observation=8)
        tokenizer = load_tokenizer(str(episode_model))
        options = {
            "per_device_train_batch_size": GROUP, "gradient_accumulation_steps": 2, "num_generations": GROUP,
            "max_completion_length": 60, "learning_rate": 1e-2, "max_steps": 1, "save_strategy": "no",
        }  # fmt: skip
        return StructuredGRPOTrainer(
            model=load_model(ModelConfig(reference=str(episode_model))),
            tokenizer=tokenizer,
            environment=environment,
            composite=Composite(environment, RewardConfig(parts={"correct": PartConfig(weight=1.0)})),
            normalization="sum",
            reward_state=RewardState(UnjudgedLimit()),
            tasks=[Task(id=f"task {number}") for number in range(6)],
            args=GRPOConfig(
                output_dir=str(tmp_path / "out"),
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                report_to=[],
                disable_tqdm=True,
                **{**options, **args},
            ),  # fmt: skip
            rollout=rollout or RolloutConfig(),
            credit=credit or CreditConfig(),
            prefix_tree=prefix_tree,
            peft_config=peft_config,
        )

    return make


def window(trainer: StructuredGRPOTrainer) -> dict[str, Any]:
    """The tensors of a batch of two groups, before they are split."""
    torch.manual_seed(1)
    trainer.current_gradient_accumulation_steps = 2
    trainer.model.train()
    rows = [row for row in trainer.train_dataset.to_list()[:2] for _ in range(GROUP)]
    return trainer._generate_and_score_completions(rows)


def test_observations_are_in_the_text_and_never_in_the_loss(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    inputs = window(trainer)
    masks = [one.rollout.env_mask for one in trainer.latest]
    assert any(0 in mask for mask in masks)
    for row, mask in zip(inputs["tool_mask"] * inputs["completion_mask"], masks, strict=True):
        assert row.tolist() == list(mask) + [0] * (len(row) - len(mask))
    assert inputs["num_items_in_batch"] == sum(map(sum, masks))

    def gradient(advantages: torch.Tensor) -> list[torch.Tensor]:
        trainer.model.zero_grad()
        trainer._compute_loss(trainer.model, {**inputs, "advantages": advantages}).backward()
        return [parameter.grad.clone() for parameter in trainer.model.parameters()]

    plain = inputs["advantages"][:, None].expand(inputs["completion_ids"].shape)
    poisoned = plain + 1e6 * (1 - inputs["tool_mask"])
    assert all(torch.equal(*pair) for pair in zip(gradient(plain), gradient(poisoned), strict=True))


@pytest.mark.parametrize("scale", ["group", "none"])
def test_advantages_of_siblings_reach_the_loss_branch_by_branch(make_trainer: MakeTrainer, scale: str) -> None:
    credit = CreditConfig(advantage="siblings")
    trainer = make_trainer(rollout=RolloutConfig(branching=2), credit=credit, scale_rewards=scale)
    advantages = window(trainer)["advantages"]
    assert trainer.batch is not None and advantages.dim() == 2
    rows = iter(advantages.tolist())
    shared = False
    for group in trainer.batch.groups:
        assert len(group) == GROUP
        paths = [one.rollout.branches for one in group]
        shared |= len({path[0].node for path in paths}) < GROUP
        values = sibling_advantages(paths, [one.score.value for one in group], scales=scale == "group")
        for one, path, by_branch in zip(group, paths, values, strict=True):
            row, length = next(rows), len(one.rollout.completion_ids)
            ends = [branch.start for branch in path[1:]] + [length]
            for branch, end, value in zip(path, ends, by_branch, strict=True):
                assert row[branch.start : end] == pytest.approx([value] * (end - branch.start), rel=1e-5)
            assert set(row[length:]) <= {0.0}
    assert shared and advantages.abs().sum() > 0


def test_truncated_completions_are_those_that_a_budget_cut_and_no_others(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(mask_truncated_completions=True)
    inputs = window(trainer)
    cut = [one.rollout.transcript.is_truncated for one in trainer.latest]
    assert len(set(cut)) == 2
    kept = [0 if is_cut else sum(one.rollout.env_mask) for is_cut, one in zip(cut, trainer.latest, strict=True)]
    assert (inputs["completion_mask"] * inputs["tool_mask"]).sum(1).tolist() == kept
    assert inputs["num_items_in_batch"] == sum(kept)
    curves = trainer._metrics["train"]
    assert curves["completions/clipped_ratio"] == [sum(cut) / len(cut)]
    whole = [length for is_cut, length in zip(cut, kept, strict=True) if not is_cut]
    assert curves["completions/mean_terminated_length"] == [sum(whole) / len(whole)]
    assert curves["completions/max_terminated_length"] == [max(whole)]


def test_trees_and_rows_train_the_same_weights(make_trainer: MakeTrainer) -> None:
    weights = []
    for prefix_tree in (True, False):
        trainer = make_trainer(prefix_tree=prefix_tree, max_steps=2, num_iterations=2, beta=0.04)
        torch.manual_seed(1)
        trainer.train()
        weights.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    start = make_trainer().model
    moved = weights[0] - torch.cat([parameter.detach().flatten() for parameter in start.parameters()])
    assert (weights[0] - weights[1]).norm() < 1e-3 * moved.norm()


@pytest.mark.parametrize("lora", [False, True])
def test_a_copy_generates_with_the_weights_that_the_policy_has_at_the_time(
    make_trainer: MakeTrainer, lora: bool
) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False) if lora else None
    trainer = make_trainer(rollout=RolloutConfig(device="cpu"), max_steps=2, peft_config=config)
    trainer.train()
    maker = trainer._copy
    assert maker is not None
    copy, ids = maker.of(trainer.model), torch.tensor([[5, 6, 7]])
    assert not {id(value) for value in copy.parameters()} & {id(value) for value in trainer.model.parameters()}
    expected = trainer.model.eval()(ids).logits
    # Whatever the trainer has put around the policy's forward, the policy itself does nothing for the copy.
    ran: list[Any] = []
    for module in trainer.model.modules():
        module.register_forward_pre_hook(lambda module, arguments: ran.append(module))
    assert torch.equal(copy.eval()(ids).logits, expected) and not ran
    with torch.no_grad():
        for value in trainer.model.parameters():
            value.mul_(1.5)
    assert torch.equal(copy(ids).logits, expected)
    moved = maker.of(trainer.model)(ids).logits
    assert not torch.equal(moved, expected) and not ran


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"credit": CreditConfig(advantage="siblings")}, "rollout.branching is 1"),
        ({"credit": CreditConfig(advantage="siblings"), "rollout": RolloutConfig(branching=2),
          "scale_rewards": "batch"}, "'group' or 'none'"),
        ({"credit": CreditConfig(plan_weight=0.5)}, "tags have no plan"),
        ({"credit": CreditConfig(plan_weight=-1.0)}, "from 0"),
        ({"rollout": RolloutConfig(max_turn_tokens=52)}, "60 tokens cannot hold one turn of 52"),
        ({"max_completion_length": 9}, "9 tokens cannot hold one turn of 1, an observation of up to 8"),
        ({"gradient_accumulation_steps": 7}, "7 groups .* and there are 6 tasks"),
        ({"credit": CreditConfig(plan_weight=math.inf)}, "from 0"),
        ({"rollout": RolloutConfig(device="cpu"), "cast_lm_head_to_fp32": True}, "goes without rollout.device"),
        ({"rollout": RolloutConfig(device="meta")}, "rollout.device 'meta' cannot be used"),
        ({"rollout": RolloutConfig(device="cuda:7")}, "rollout.device 'cuda:7' cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_at_construction(
    make_trainer: MakeTrainer, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_trainer(**options)


@pytest.mark.parametrize(
    ("field", "value"),
    [("branching", 0), ("refill", -1), ("max_batch_rows", 0), ("rejoin_after", -1), ("first_branching", 2)],
)
def test_numbers_without_a_meaning_are_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=f"rollout.{field} is {value}"):
        RolloutConfig(**{field: value})


@pytest.mark.parametrize(
    ("config", "wish", "remedy"),
    [
        (RolloutConfig(branching=2), "a tree", "rollout.branching to 1"),
        (RolloutConfig(refill=1), "refilling", "rollout.refill to 0"),
        (RolloutConfig(grammar="mixed"), "rollout.grammar 'mixed'", "rollout.grammar to 'masked' or 'free'"),
        (RolloutConfig(grammar="mixed", refill=1), "refilling", "rollout.refill to 0 and rollout.grammar to"),
    ],
)
def test_groups_that_are_divided_between_processes_cannot_grow_trees_or_be_refilled_or_mixed(
    config: RolloutConfig, wish: str, remedy: str
) -> None:
    environment = Echo(language=lambda transcript: Grammar(kind="regex", source="a"))
    rest = (environment, [Task(id="1")], GRPOConfig(use_cpu=True, bf16=False))
    options: dict[str, Any] = {"budgets": Budgets(max_new_tokens=100), "group": 4, "processes": 2}
    config.require(*rest, local_rows=8, **options)
    message = f"^{wish} needs whole groups.* = 6 rollouts at once, which is no multiple of num_generations 4.*{remedy}"
    with pytest.raises(ConfigurationError, match=message):
        config.require(*rest, local_rows=6, **options)
    for divided in (RolloutConfig(), RolloutConfig(grammar="masked")):
        divided.require(*rest, local_rows=6, **options)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RolloutConfig(device="cpu"), "where one process generates, and there are 2"),
        (RolloutConfig(engine="vllm"), "one engine beside one training process, and there are 2"),
    ],
)
def test_a_second_device_and_a_second_engine_are_for_one_process(config: RolloutConfig, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        config.require(
            Echo(), [], GRPOConfig(use_cpu=True, bf16=False), budgets=Budgets(max_new_tokens=100), group=4,
            local_rows=8, processes=2,
        )  # fmt: skip
