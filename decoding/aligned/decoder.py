"""The aligned decoder: answers of one turn that follow the model's own distribution, given the grammar of their task.

Not covered: environments that answer between turns. What comes later decides how much mass an earlier turn has, and no
turn's grammar knows of it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from decoding.aligned.awrs import TextCheck
from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.sample import sample
from decoding.budgets import Budgets
from decoding.chat_prompt import prompt_ids
from decoding.decoder import Decoding, Finish, judged, unsaid_episode
from decoding.engine import Engine, Generation, Request
from decoding.episode import Episode
from decoding.rollout import Ledger
from decoding.seeds import task_seeds
from decoding.transformers_engine import engine_end_ids
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class AlignedDecoding(Decoding):
    """A decode, and how its answers were found."""

    aligned: tuple[AlignedAnswers, ...]
    """Of each task; without the tasks of which no rollout was asked for."""


@dataclass(frozen=True, kw_only=True)
class AlignedDecoder:
    """Independent answers to tasks of one turn, drawn by ``aligned``. Each answer is judged once.

    Raises:
        ConfigurationError: the environment answers between turns, the temperature is 0, or the method checks texts and
            no check was given.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    environment: Environment[Any]
    budgets: Budgets
    temperature: float = 1.0
    aligned: AlignedSampling = field(default_factory=AlignedSampling)
    max_batch_rows: int = 64
    """Rows that are written at once; at most what the engine has room for."""
    check: Callable[[Task], TextCheck | None] | None = None
    """For ``awrs``: what checks the texts of a task; None for one that needs none."""

    def __post_init__(self) -> None:
        require_aligned(self.environment, temperature=self.temperature)
        self.budgets.require_room(self.environment)
        if self.aligned.method == "awrs" and self.check is None:
            raise ConfigurationError("alignment.method 'awrs' needs a check of texts; for grammars alone take 'smc'")

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> AlignedDecoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time, whatever the batch.

        Raises:
            ConfigurationError: the engine cannot do what the method needs.
        """
        return self._decode(tasks, n, task_seeds(tasks, seed))

    def _decode(self, tasks: Sequence[Task], n: Sequence[int], seeds: Sequence[int]) -> AlignedDecoding:
        start = time.perf_counter()
        unsaid, requests = [], []
        for place, (task, count, task_seed) in enumerate(zip(tasks, n, seeds, strict=True)):
            if count > 0:
                unsaid.append(self._unsaid(task, place))
                requests.append(self._request(unsaid[-1], count, task_seed))
        answers = self._sample(requests, [one.task for one in unsaid])
        episodes = [
            self._episode(one, generation, has_grammar=request.grammar is not None)
            for one, request, answer in zip(unsaid, requests, answers, strict=True)
            for generation in answer.generations
        ]
        ledger = Ledger(
            generated_tokens=sum(answer.model_calls for answer in answers),
            prefilled_tokens=sum(len(request.prompt_ids) for request in requests),
            generate_seconds=time.perf_counter() - start,
        )
        paths = [(Branch(node=number, start=0),) for count in n for number in range(count)]
        decoding = judged(tasks, episodes, paths, self.environment, self.tokenizer, ledger)
        return AlignedDecoding(groups=decoding.groups, ledger=decoding.ledger, aligned=tuple(answers))

    def stream(
        self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None, most_rows: int | None = None
    ) -> Iterator[Finish]:
        """The rollouts that ``decode`` makes, a batch of tasks after the other: their texts are weighed together.

        Args:
            most_rows: answers of a batch, about; None: all are one batch.
        """
        begin = 0
        seeds = task_seeds(tasks, seed)
        while begin < len(tasks):
            end = begin + 1
            while end < len(tasks) and (most_rows is None or sum(n[begin : end + 1]) <= most_rows):
                end += 1
            decoding = self._decode(tasks[begin:end], n[begin:end], seeds[begin:end])
            for place, group in enumerate(decoding.groups, begin):
                # Their cost cannot be told apart: the first task of a batch has it all.
                yield Finish(place=place, group=group, cost=decoding.ledger if place == begin else Ledger())
            begin = end

    def _unsaid(self, task: Task, place: int) -> Episode:
        prompt = prompt_ids(self.tokenizer, self.environment, task)
        unsaid = unsaid_episode(self.tokenizer, self.environment, task, place, prompt)
        return replace(unsaid, is_masked=True)

    def _request(self, unsaid: Episode, count: int, seed: int) -> Request:
        return Request(
            prompt_ids=unsaid.prompt_ids,
            max_new_tokens=self.budgets.turn(0),
            grammar=self.environment.grammar(unsaid.task, unsaid.question(self.tokenizer)),
            temperature=self.temperature,
            n=count,
            seed=seed,
        )

    def _episode(self, unsaid: Episode, generation: Generation, *, has_grammar: bool) -> Episode:
        episode = unsaid.fork(unsaid.row)
        episode.add_generation(generation)
        episode.end(generation.finish)
        if not has_grammar:
            episode.grammar_error = f"environment '{self.environment.name}' has no grammar for this task"
        return episode

    def _sample(self, requests: Sequence[Request], tasks: Sequence[Task]) -> list[AlignedAnswers]:
        return sample(
            self.engine,
            requests,
            self.aligned,
            max_batch_rows=self.max_batch_rows,
            checks=() if self.check is None else [self.check(task) for task in tasks],
            decode=partial(self.tokenizer.decode, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            end_ids=engine_end_ids(self.engine, self.tokenizer),
        )


def require_aligned(environment: Environment[Any], *, temperature: float) -> None:
    """Checks that answers to an environment can be aligned.

    Raises:
        ConfigurationError: they cannot.
    """
    if environment.stops:
        raise ConfigurationError(
            f"environment '{environment.name}' answers between turns ({', '.join(environment.stops)}):"
            " aligned sampling weighs one turn under one grammar; leave aligned out, or tags.observation"
        )
    if temperature == 0:
        raise ConfigurationError("aligned sampling needs a temperature above 0; set one, or leave aligned out")
