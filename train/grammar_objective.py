"""What is maximised when rollouts are held to a grammar, and the weights of tokens that follow from it.

Under a grammar a token is drawn from q(v|s) = p(v|s) 1[v in M_s] / Z_s, where M_s are the tokens that it allows after s
and Z_s = p(M_s|s). With log p in the loss, the importance weight of a token is p/q = Z_s, and that of a text of n
tokens their product: 0.95 a token is 0.077 after 50 and 3.5e-5 after 200. What corrects by it learns nothing, what does
not correct follows another gradient. The modes, A being the advantage of a text:

``free``: no masks in training. J = E_{y~p}[R], as ever.

``masked``: the policy that is trained is q itself, J = E_{y~q}[R]. The loss has log q of the new, the old and the
reference policy, so that it is exactly on its policy; KL is that between masked policies, entropies are those of q.
Z_s does not appear, and tokens outside of M_s are neither made more nor less probable.

``mixed`` (f: the share of masked rollouts): both at once, in one loss with log p. The gradient is

    (1 - f) E_{y~p}[A(y) sum_t grad log p(y_t|s_t)]  +  f E_{y~q}[A(y) sum_t Z_{s_t} grad log p(y_t|s_t)].

The second term is that of a surrogate (ours, after Kakade & Langford 2002, "Approximately Optimal Approximate
Reinforcement Learning": states from the policy that sampled, actions from the one that is trained). Let d be how often
q visits s, and A^q(s,v) the expected advantage of what q makes of s and v, with A^q = 0 for v outside of M_s, which q
never tries:

    L(p') = sum_s d(s) sum_{v in M_s} p'(v|s) A^q(s,v)
    grad L = sum_s d(s) sum_{v in M_s} grad p'(v|s) A^q(s,v)
           = sum_s d(s) sum_{v in M_s} q(v|s) Z_s grad log p'(v|s) A^q(s,v)              at p' = p, as p = Z_s q in M_s
           = E_{y~q}[A(y) sum_t Z_{s_t} grad log p(y_t|s_t)].

Advantages count from the mean reward of the whole group, masked and free alike: an illegal token is taken to be worth
that mean. Over several steps on one window, p'/p_old times Z_s of the sampling policy is p'/q_old, the token-level
importance weight, so that Z_s is kept as it was when the token was drawn. A KL penalty is not weighted by Z_s: on
masked rollouts it is taken over the tokens that q draws.

An engine whose arithmetic is not the trainer's samples from a policy pi' that is only nearly pi. Its tokens get
min(pi/pi', cap), without gradient (truncated importance sampling, Espeholt et al. 2018, "IMPALA", token by token),
where both are of the distribution that was sampled from: log q under a mask, log p without. vLLM's own
log-probabilities are log q there, because it masks logits before it normalises them.

Not covered: weights of whole texts, which ``require_objective`` refuses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from trl import GRPOConfig

from decoding.rollout import Rollout
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from train.masked_forward import MaskedScores

GrammarMode = Literal["free", "mixed", "masked"]

PRODUCT = (
    "makes one weight of all tokens of a rollout, and under a mask that is a product over its tokens of the mass that"
    " the grammar allowed (0.95 a token: 0.077 after 50)"
)


def require_objective(
    mode: GrammarMode, environment: Environment[Any], tasks: Sequence[Task], args: GRPOConfig
) -> None:
    """Checks that a mode has a meaning with the loss and the tasks.

    Args:
        mode: other than ``free``.
        environment: whose grammars hold rollouts.
        tasks: what is trained on. Those without a grammar are sampled freely and counted, as long as one has one.
        args: TRL's configuration.

    Raises:
        ConfigurationError: it has none.
    """
    refused = {
        "importance_sampling_level": (args.importance_sampling_level, ("sequence",), "token"),
        "loss_type": (args.loss_type, ("luspo", "vespo"), "dapo"),
    }
    for name, (value, sequence_level, remedy) in refused.items():
        if value in sequence_level:
            raise ConfigurationError(
                f"trainer.{name} '{value}' {PRODUCT}; set it to '{remedy}', or rollout.grammar ({mode!r}) to 'free'"
            )
    if args.off_policy_mask_threshold is not None:
        raise ConfigurationError(
            f"trainer.off_policy_mask_threshold {PRODUCT}; leave it out, or set rollout.grammar ({mode!r}) to 'free'"
        )
    if all(environment.grammar(task) is None for task in tasks):
        raise ConfigurationError(
            f"rollout.grammar is {mode!r}, and environment '{environment.name}' has no grammar for any of the"
            f" {len(tasks)} tasks as it is configured; set rollout.grammar to 'free', or change environment.options"
        )


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How far an engine's policy was from the trainer's, over the tokens that the model wrote."""

    weights: Tensor
    """(B, C) min(pi/pi', cap); 1 for tokens of others."""
    difference: Tensor
    """(B, C) log pi - log pi'; 0 for tokens of others."""


def importance(rollouts: Sequence[Rollout], scores: MaskedScores, cap: float) -> Importance:
    """Truncated importance weights of rollouts from an engine with another arithmetic.

    Args:
        rollouts: B of them; tokens whose log-probability the engine did not tell (NaN) get the weight 1.
        scores: of the B rows, under the policy that is trained.
        cap: the largest weight.
    """
    told = _padded([one.logprobs for one in rollouts], scores.log_q)
    is_written = _padded([one.env_mask for one in rollouts], scores.log_q).bool()
    difference = torch.where(is_written & told.isfinite(), scores.log_q - told, 0.0)
    return Importance(weights=difference.exp().clamp(max=cap), difference=difference)


def log_masses(rollouts: Sequence[Rollout], scores: MaskedScores | None, like: Tensor) -> Tensor:
    """(B, C) log Z of each token when it was drawn: as the engine told, else as scored; 0 for free tokens.

    Args:
        rollouts: B of them.
        scores: of the B rows; needed for masked rollouts of which the engine did not tell.
        like: a tensor of (B, C, ...), which says width, type and device.
    """
    told = _padded([one.log_z or () for one in rollouts], like)
    silent = torch.tensor([bool(one.grammars) and one.log_z is None for one in rollouts], device=like.device)
    if not silent.any():
        return told
    if scores is None:
        raise ValueError("rollouts under a grammar without log_z need scores")
    return torch.where(silent[:, None], scores.log_z.to(told.dtype), told)


def _padded(rows: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    padded = torch.zeros(like.shape[:2], dtype=torch.float32)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = torch.tensor(list(values), dtype=torch.float32)
    return padded.to(like.device)
