"""Advantages token by token: of the branches of a tree, and weighted before and after a plan.

TRL normalises rewards in their group and gives every token of a rollout the same advantage. Where a configuration asks
for more, this module makes a (B, T) tensor of them, which TRL's losses take as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from decoding.token_text import token_of_character
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.layout import Tags, walk_turns
from envs.transcript import Transcript
from rewards.credit import expand, segment_weights, sibling_advantages
from train.rollouts import ScoredGroup, ScoredRollout


@dataclass(frozen=True, kw_only=True)
class CreditConfig:
    """Which tokens an advantage belongs to."""

    advantage: Literal["group", "siblings"] = "group"
    """``group``: each rollout against its group, all its tokens alike. ``siblings``: each branch of a tree against its
    own siblings, summed along the path (needs rollout.branching from 2)."""
    plan_weight: float = 1.0
    """Factor on the advantages of the tokens before the plan's closing tag (E2C's lambda; needs tags.plan)."""

    def require(self, environment: Environment[Any], *, branching: int, scale_rewards: str, normalization: str) -> None:
        """Checks that what is asked for has a meaning.

        Raises:
            ConfigurationError: it has none.
        """
        if self.advantage == "siblings" and branching < 2:
            raise ConfigurationError(
                f"credit.advantage 'siblings' compares branches of a tree, and rollout.branching is {branching}; set it"
                " to 2 or more, or credit.advantage to 'group'"
            )
        if self.advantage == "siblings" and (scale_rewards == "batch" or normalization == "parts"):
            raise ConfigurationError(
                "credit.advantage 'siblings' normalises the reward of branches; it goes with trainer.scale_rewards"
                f" 'group' or 'none' (got {scale_rewards!r}) and reward.normalization 'sum' (got {normalization!r})"
            )
        if not 0 <= self.plan_weight < math.inf:
            raise ConfigurationError(f"credit.plan_weight is {self.plan_weight:g}; expected a number from 0")
        if self.plan_weight != 1 and tags_of_environment(environment).plan is None:
            raise ConfigurationError(
                f"credit.plan_weight is {self.plan_weight:g}, and the environment's tags have no plan; set"
                " environment.options.tags.plan"
            )


def token_advantages(
    advantages: Tensor,
    groups: Sequence[ScoredGroup],
    width: int,
    credit: CreditConfig,
    *,
    scales: bool,
    tags: Tags,
    tokenizer: PreTrainedTokenizerBase,
) -> Tensor:
    """The advantage of every completion token.

    Args:
        advantages: (B,) of the rollouts in their groups, as TRL normalised them.
        groups: of the B rollouts, in their order.
        width: T, the width of the batch's completions.
        scales: branches are divided by the deviation of their siblings.
        tags: of the environment.
        tokenizer: the model's.

    Returns:
        ``advantages`` as they are where the configuration asks for nothing more, else (B, T), 0 beyond a completion.
    """
    if credit == CreditConfig():
        return advantages
    rollouts = [one for group in groups for one in group]
    if credit.advantage == "siblings":
        values = [row for group in groups for row in _sibling_rows(group, scales=scales)]
    else:
        lengths = [len(one.rollout.completion_ids) for one in rollouts]
        values = [[value] * length for value, length in zip(advantages.tolist(), lengths, strict=True)]
    rows = torch.zeros(len(rollouts), width, dtype=advantages.dtype, device=advantages.device)
    for index, (row, one) in enumerate(zip(values, rollouts, strict=True)):
        if credit.plan_weight != 1:
            weights = segment_weights(len(row), _plan_end(one, tags, tokenizer), credit.plan_weight)
            row = [value * weight for value, weight in zip(row, weights, strict=True)]
        rows[index, : len(row)] = torch.tensor(row, dtype=rows.dtype)
    return rows


def _sibling_rows(group: ScoredGroup, *, scales: bool) -> list[list[float]]:
    paths = [one.rollout.branches for one in group]
    by_branch = sibling_advantages(paths, [one.score.value for one in group], scales=scales)
    lengths = [len(one.rollout.completion_ids) for one in group]
    return [expand(path, row, length) for path, row, length in zip(paths, by_branch, lengths, strict=True)]


def _plan_end(scored: ScoredRollout, tags: Tags, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The number of completion tokens before the closing tag of the first plan; None without a plan."""
    transcript = scored.rollout.transcript
    turns = [segment.text for segment in transcript.segments if segment.author == "model"]
    walk = walk_turns(turns, transcript, tags)
    end = next((block.end for block in walk.blocks if block.name == tags.plan), None)
    if end is None:
        return None
    closing = _with_observations(transcript, end) - len(f"</{tags.plan}>")
    return token_of_character(tokenizer, scored.rollout.completion_ids, closing)


def _with_observations(transcript: Transcript, character: int) -> int:
    """A place in the model's text as a place in all of the text."""
    before, left = 0, character
    for segment in transcript.segments:
        if segment.author == "model":
            if left <= len(segment.text):
                return before + left
            left -= len(segment.text)
        before += len(segment.text)
    return before
