"""A process reward model: another model, trained to say whether a solution is right so far, rates the states.

Any classifier of transformers: of sequences, with one score for the text as it stands, or of tokens, with one at the
end of every step (Lightman et al. 2023, arXiv 2305.20050; TRL's ``PRMTrainer`` trains such). Its text is the task's
messages in the classifier's own chat template, then all that was said; without a template the messages one after
another. Not covered: what needs a separator token of the model's own between steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

from decoding.chat_prompt import prompt_ids
from decoding.search.plan import Plan, Rating, rate
from decoding.search.scorers.reward_model import Reading, RewardModel, shared_reward_model
from decoding.search.state import State
from decoding.search.strategy import Problem
from decoding.token_text import encode_text, token_of_character
from envs.environment import Environment
from envs.errors import ConfigurationError

Aggregate = Literal["last", "min", "product"]


@dataclass(frozen=True, kw_only=True)
class ProcessReward:
    """With one label sigmoid(logit), with several the softmax's probability of ``label``.

    The model is loaded when it is first needed, once a process, and rates the states of many tasks in one batch. Each
    state costs one verifier call, and the tokens that are read.

    Raises:
        ConfigurationError: an option has no meaning; at the first use: there is no such classifier.
    """

    model: str
    """A directory or a hub id, as of the model that answers."""
    label: Any = None
    """The label that means "right", by its place or its name; None: the last one."""
    aggregate: Aggregate = "last"
    """Of a token classifier: the score of the last token, or the least one or the product over all steps, which end
    where lines end. A sequence classifier has the last one alone."""
    batch_size: int = 8
    device: str | None = None
    """None: the process's own GPU, or the CPU where there is none."""
    _raters: "list[Rater]" = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigurationError(f"process_reward.batch_size is {self.batch_size}; expected at least 1")
        if self.aggregate not in ("last", "min", "product"):
            raise ConfigurationError(
                f"process_reward.aggregate is {self.aggregate!r}; expected 'last', 'min' or 'product'"
            )
        if self.label is not None and not isinstance(self.label, (int, str)):
            raise ConfigurationError(f"process_reward.label is {self.label!r}; expected a place, a name or null")

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state."""
        ratings = yield from rate(self._rater(problem.environment), states)
        return [None if rating is None else rating.score for rating in ratings]

    def _rater(self, environment: Environment[Any]) -> "Rater":
        """The one rater for an environment, so that the states of all its tasks are rated together."""
        for rater in self._raters:
            if rater.environment is environment:
                return rater
        rater = Rater(self, environment)
        self._raters.append(rater)
        return rater


class Rater:
    """Rates states of one environment's tasks."""

    def __init__(self, options: ProcessReward, environment: Environment[Any]) -> None:
        """
        Args:
            options: of the scorer.
            environment: says what the task's messages are.

        Raises:
            ConfigurationError: there is no such classifier, or it has no such label, or cannot be aggregated so.
        """
        self.environment = environment
        self._options = options
        self._model: RewardModel = shared_reward_model(options.model, options.device)
        self._label = self._model.label(options.label)
        if self._model.kind == "sequence" and options.aggregate != "last":
            raise ConfigurationError(
                f"process_reward.aggregate is {options.aggregate!r}, but {options.model!r} classifies whole sequences;"
                " take 'last', or a token classifier"
            )

    def __call__(self, states: Sequence[State]) -> list[Rating]:
        """One rating a state, in order."""
        readings = [self._reading(state) for state in states]
        found = self._model.scores(readings, label=self._label, batch_size=self._options.batch_size)
        return [
            Rating(score=self._together(scores), tokens=len(reading.token_ids))
            for scores, reading in zip(found, readings, strict=True)
        ]

    def _together(self, scores: Sequence[float]) -> float:
        if self._options.aggregate == "product":
            return math.prod(scores)
        return min(scores) if self._options.aggregate == "min" else scores[-1]

    def _reading(self, state: State) -> Reading:
        """The text of a state, its beginning cut off where it is longer than the model's window."""
        tokenizer = self._model.tokenizer
        said = encode_text(tokenizer, state.transcript.text)
        if tokenizer.chat_template is not None:
            opening, closing = list[int](), list[int]()
            asked = prompt_ids(tokenizer, self.environment, state.task)
        else:
            opening, closing = _special_ends(tokenizer)
            messages = self.environment.prompt(state.task)
            asked = encode_text(tokenizer, "".join(message["content"] + "\n\n" for message in messages))
        body = [*asked, *said]
        room = len(body) if self._model.window is None else self._model.window - len(opening) - len(closing)
        cut = max(0, len(body) - room)
        ends = [place for place in self._step_ends(said, first=len(asked)) if place >= cut]
        return Reading(
            token_ids=(*opening, *body[cut:], *closing),
            places=tuple(len(opening) + place - cut for place in ends or [len(body) - 1]),
        )

    def _step_ends(self, said: Sequence[int], *, first: int) -> list[int]:
        """The indices of the tokens at which steps end; the last token of the text is the end of the last one.

        Args:
            said: the tokens of all that was said.
            first: the index of the first of them.
        """
        last = first + len(said) - 1
        if self._options.aggregate == "last":
            return [last]
        tokenizer = self._model.tokenizer
        # As these tokens spell it: some tokenizers lose characters.
        text = tokenizer.decode(list(said), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        # Blank lines are no steps, and what follows the last step that is one belongs to it.
        lines = text.rstrip().splitlines(keepends=True)
        ends = [length for length, line in zip(accumulate(map(len, lines)), lines, strict=True) if line.strip()]
        return sorted({first + token_of_character(tokenizer, said, end) - 1 for end in ends[:-1]} | {last})


def _special_ends(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a text, as ``[CLS]`` and ``[SEP]``."""
    whole, plain = tokenizer("a")["input_ids"], tokenizer("a", add_special_tokens=False)["input_ids"]
    start = next(place for place in range(len(whole) + 1) if whole[place : place + len(plain)] == plain)
    return whole[:start], whole[start + len(plain) :]
