"""The gradient of an objective, as our trainer samples and computes it, and as enumeration gives it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM
from trl import GRPOConfig

from benchmarks.letters import (
    Letters,
    Paying,
    enumerable_model,
    letter_tokenizer,
    log_probabilities,
    spread_pay,
    strings,
)
from decoding.grammars.compiler import shared_compiler
from decoding.row import Row
from envs.grammar import Grammar
from envs.task import Task
from rewards.configuration import UnjudgedLimit
from train.advantages import CreditConfig
from train.reward_state import RewardState
from train.rollout_config import RolloutConfig
from train.trainer import StructuredGRPOTrainer

PROMPT = "ba"
TEMPERATURE = 0.8


def make_trainer(
    directory: Path,
    rollout: RolloutConfig,
    *,
    regex: Any,
    rows: int,
    longest: int,
    group: int | None = None,
    tasks: tuple[str, ...] = (PROMPT,),
    letters: str = "abcdefgh",
    prefix_tree: bool = True,
    pay: Callable[[str], float] = spread_pay,
    engine: Any = None,
    environment: Any = None,
    model: Any = None,
    credit: CreditConfig | None = None,
    **options: Any,
) -> StructuredGRPOTrainer:
    """A trainer on answers of letters: one window of ``rows`` rollouts is one micro-batch, unless options say else."""
    tokenizer = letter_tokenizer(letters)
    torch.manual_seed(0)
    settings = {
        "output_dir": str(directory), "use_cpu": True, "bf16": False, "report_to": [], "disable_tqdm": True,
        "per_device_train_batch_size": rows, "gradient_accumulation_steps": 1, "num_generations": group or rows,
        "max_completion_length": longest, "temperature": TEMPERATURE, "loss_type": "dr_grpo", "scale_rewards": "none",
        "dataloader_pin_memory": False, "gradient_checkpointing": False, "save_strategy": "no",
        "max_steps": 1, "learning_rate": 1e-2, "lr_scheduler_type": "constant", "max_grad_norm": 1e9,
    }  # fmt: skip
    policy = enumerable_model(tokenizer) if model is None else model
    if options.get("beta") and model is None:
        # The reference policy is read from where the policy came from.
        policy.save_pretrained(directory / "start")
        policy = LlamaForCausalLM.from_pretrained(directory / "start")
    trainer = StructuredGRPOTrainer(
        model=policy,
        tokenizer=tokenizer,
        environment=environment or Letters(regex=regex),
        composite=Paying(pay=pay),  # type: ignore[arg-type]
        normalization="sum",
        reward_state=RewardState(UnjudgedLimit()),
        tasks=[Task(id=task) for task in tasks],
        args=GRPOConfig(**{**settings, **options}),
        rollout=rollout,
        credit=credit or CreditConfig(),
        prefix_tree=prefix_tree,
        engine=engine,
    )
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    return trainer


def sampled_window(trainer: StructuredGRPOTrainer) -> dict[str, Any]:
    """The first micro-batch of a window, sampled and judged."""
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def flat_gradient(model: torch.nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def sampled_gradient(trainer: StructuredGRPOTrainer) -> tuple[Tensor, float]:
    """Of what is maximised, from one window through the trainer's loss; and the mean reward of the window.

    Dr. GRPO's loss divides the sum over tokens by rows and by the longest completion, and by nothing that was sampled.
    """
    inputs = sampled_window(trainer)
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, inputs).backward()
    rewards = [one.score.value for one in trainer.latest]
    return -flat_gradient(trainer.model) * trainer.max_completion_length, sum(rewards) / len(rewards)  # type: ignore[arg-type]


def masks_of(grammar: Grammar, tokenizer: Any, text: tuple[int, ...], vocabulary: int) -> list[Tensor]:
    """(V,) booleans at each place of a text, from the matcher's own words."""
    matcher = shared_compiler(tokenizer, end_ids=frozenset([tokenizer.eos_token_id])).compile(grammar).matcher()
    found = []
    for token in text:
        words = matcher.mask()
        assert words is not None
        found.append(torch.tensor([bool(int(words[v >> 5]) >> (v & 31) & 1) for v in range(vocabulary)]))
        matcher.consume([token])
    return found


def sentences(grammar: Grammar, tokenizer: Any, most: int) -> list[tuple[int, ...]]:
    """All texts that sampling under the masks can give, of at most ``most`` tokens."""
    matcher = shared_compiler(tokenizer, end_ids=frozenset([tokenizer.eos_token_id])).compile(grammar).matcher()
    found: list[tuple[int, ...]] = []
    waiting: list[tuple[tuple[int, ...], Any]] = [((), matcher)]
    while waiting:
        text, place = waiting.pop()
        words = place.mask()
        for token in range(len(tokenizer)):
            if int(words[token >> 5]) >> (token & 31) & 1:
                longer = (*text, token)
                if token == tokenizer.eos_token_id or len(longer) == most:
                    found.append(longer)
                else:
                    fork = place.fork()
                    fork.consume([token])
                    waiting.append((longer, fork))
    return found


class Enumeration:
    """Exact gradients of the objectives of ``train/grammar_objective.py``."""

    def __init__(
        self, model: Any, tokenizer: Any, grammar: Grammar, *, longest: int, pay: Callable[[str], float] = spread_pay
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._grammar = grammar
        self._longest = longest
        self._pay = pay
        self._prompt = tokenizer(PROMPT).input_ids

    def free(self, baseline: float) -> Tensor:
        letters = range(len(self._tokenizer))
        others = [token for token in letters if token != self._tokenizer.eos_token_id]
        texts = list(strings(others, self._tokenizer.eos_token_id, self._longest))
        log_p, tokens = self._scores(texts)
        objective = (_sums(log_p, tokens).exp() * (self._pays(texts) - baseline)).sum()
        return self._gradient(objective)

    def masked(self, baseline: float) -> Tensor:
        texts, log_p, tokens, log_z = self._masked()
        log_q = _sums(log_p, tokens) - log_z.sum(1)
        return self._gradient((log_q.exp() * (self._pays(texts) - baseline)).sum())

    def mixed(self, baseline: float, fraction: float) -> Tensor:
        texts, log_p, tokens, log_z = self._masked()
        q = (_sums(log_p, tokens) - log_z.sum(1)).exp()
        chosen = log_p.gather(2, tokens.clamp(min=0)[:, :, None])[:, :, 0]
        weights = (q[:, None] * (self._pays(texts) - baseline)[:, None] * log_z.exp() * (tokens >= 0)).detach()
        masked = self._gradient((weights * chosen).sum())
        return (1 - fraction) * self.free(baseline) + fraction * masked

    def structure_gap(self) -> float:
        """KL(q||p)."""
        texts, log_p, tokens, log_z = self._masked()
        q = (_sums(log_p, tokens) - log_z.sum(1)).exp()
        return float((q * -log_z.sum(1)).sum().detach())

    def _masked(self) -> tuple[list[tuple[int, ...]], Tensor, Tensor, Tensor]:
        texts = sentences(self._grammar, self._tokenizer, self._longest)
        log_p, tokens = self._scores(texts)
        allowed = torch.ones(log_p.shape, dtype=torch.bool)
        for row, text in enumerate(texts):
            for place, mask in enumerate(masks_of(self._grammar, self._tokenizer, text, log_p.shape[2])):
                allowed[row, place] = mask
        log_z = log_p.masked_fill(~allowed, -torch.inf).logsumexp(-1) * (tokens >= 0)
        return texts, log_p, tokens, log_z

    def _scores(self, texts: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        return log_probabilities(self._model, self._prompt, texts, TEMPERATURE)

    def _pays(self, texts: list[tuple[int, ...]]) -> Tensor:
        return torch.tensor([self._pay(self._tokenizer.decode(text, skip_special_tokens=True)) for text in texts])

    def _gradient(self, objective: Tensor) -> Tensor:
        self._model.zero_grad()
        objective.backward()
        return flat_gradient(self._model)


def _sums(log_p: Tensor, tokens: Tensor) -> Tensor:
    return (log_p.gather(2, tokens.clamp(min=0)[:, :, None])[:, :, 0] * (tokens >= 0)).sum(1)


def agreement(found: Tensor, expected: Tensor) -> tuple[float, float]:
    """Cosine, and the ratio of the norms."""
    norms = float(found.norm()), float(expected.norm())
    cosine = float(found @ expected) / (norms[0] * norms[1]) if norms[0] > 0 else 0.0
    return cosine, norms[0] / norms[1]


@contextmanager
def sobol_uniforms(places: int, *, rows: int, seed: int = 0) -> Iterator[None]:
    """Lets the engine's rows draw with scrambled Sobol points in place of independent numbers: row i its i-th point,
    and of it one coordinate a token. Each row alone is as random as before; means over rows converge much faster (Owen
    1997, "Scrambled net variance for integrals of smooth functions"). A window must be sampled in one session.

    Args:
        places: the most tokens of a row.
        rows: of a window; best a power of two.
        seed: of the scrambling.
    """
    points = torch.quasirandom.SobolEngine(places, scramble=True, seed=seed).draw(rows).double()
    own = Row.uniform
    Row.uniform = lambda row: float(points[row.number, len(row.ids) - row.turn_start])  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Row.uniform = own  # type: ignore[method-assign]
