"""Drives the rows of a session through their turns: the model writes, the environment answers.

While the environment answers some rows, the others decode on: it is asked in threads, whose waiting costs nothing.
When a row comes back is a choice. After a fixed number of decode steps, the batches of a run depend on nothing but its
seeds, and so do its last digits; as soon as its answer is there, the model never waits while it could decode, and two
runs of the same seeds may differ by rounding.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.engine import FinishReason, Generation, Request
from decoding.episode import Episode
from decoding.rollout import Ledger
from decoding.session import Session
from decoding.steps import WHOLE_ANSWERS, Steps
from decoding.token_text import encode_text
from envs.environment import Environment
from envs.grammar import Grammar
from envs.task import Task
from envs.transcript import Observation, Transcript

LONGEST_PIECE = 16
"""Characters that one token may write after a delimiter, as far as they are looked for."""
THREADS = 16
"""Environments are asked in so many threads; they wait for processes or compute for microseconds."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the environment answered to a turn; or nothing, where the turn only paused."""

    token_ids: tuple[int, ...] = ()
    digest: str | None = None
    """Of its ``Observation``."""
    text: str = ""
    pause: Literal["delimiter", "limit"] | None = None
    """Why the turn paused: a step has ended, or what it was allowed to write for now. None: it was answered."""


Event = tuple[Episode, Answer | None]
"""An episode that ended (None), or whose turn was answered or paused."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Question:
    """A turn that the environment was asked about."""

    episode: Episode
    answer: "Future[Observation | None]"
    step: int


class EpisodeLoop:
    """The episodes of one session. A context manager: on leaving it the environment is asked nothing more."""

    def __init__(
        self,
        session: Session,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        budgets: Budgets,
        rejoin_after: int | None,
        steps: Steps = WHOLE_ANSWERS,
        close: Callable[[Episode], None] | None = None,
    ) -> None:
        """
        Args:
            session: makes the turns; entered and left by the caller.
            tokenizer: the model's.
            environment: answers turns that stop at one of its ``stops``.
            budgets: of an episode and of a turn.
            rejoin_after: decode steps after which a row that asked the environment comes back; None: once its answer is
                there.
            steps: turns pause at their delimiters.
            close: ends the structure of an episode that a budget cuts off, where turns are written in parts; None: the
                engine does, which knows whole turns.
        """
        self._session = session
        self._tokenizer = tokenizer
        self._environment = environment
        self._budgets = budgets
        self._rejoin_after = rejoin_after
        self._delimiters = steps.delimiters
        self._close = close
        self._limits: dict[int, int] = {}  # row -> tokens of the model at which its turn pauses
        self._episodes: dict[int, Episode] = {}
        self._asked: list[_Question] = []
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="environment") if environment.stops else None
        self._steps = 0
        self._observations = 0
        self._observed_tokens = 0
        self._generated_tokens = 0
        self._wait_seconds = 0.0

    def begin(
        self, unsaid: Episode, *, n: int, temperature: float, seed: int, most: int | None = None
    ) -> list[Episode]:
        """Opens ``n`` episodes that begin as ``unsaid``, in which nothing has been said.

        Args:
            most: tokens after which they pause; None: the budgets' alone.
        """
        grammar = self._grammar(unsaid)
        left, pauses = self._part(self._budgets.turn(0), most)
        request = Request(
            prompt_ids=unsaid.prompt_ids,
            max_new_tokens=left,
            stops=(*self._environment.stops, *self._delimiters),
            grammar=grammar,
            temperature=temperature,
            n=n,
            pauses=pauses,
            seed=seed,
        )
        episodes = [unsaid.fork(row) for row in self._session.open(request)]
        self._episodes.update((episode.row, episode) for episode in episodes)
        for episode in episodes:
            if request.pauses:
                self._limits[episode.row] = request.max_new_tokens
            self._note_lack(episode, grammar, "task")
        return episodes

    def go_on(self, episode: Episode, observation_ids: Sequence[int], *, most: int | None = None) -> None:
        """Begins the next turn of an episode, after what the environment answered; or, after a pause, goes on with it.

        Args:
            episode: between two turns, or paused.
            observation_ids: what the environment answered; empty after a pause.
            most: tokens after which it pauses; None: the budgets' alone.
        """
        grammar = None
        if observation_ids:
            episode.add_observation(observation_ids)
            self._observed_tokens += len(observation_ids)
            grammar = self._grammar(episode)
            self._note_lack(episode, grammar, "turn")
        self._extend(episode, observation_ids, grammar, most)

    def cut(self, episode: Episode) -> None:
        """Ends an episode between two turns, or where it paused, as a budget does."""
        self._end(episode, "length")

    def fork(self, episode: Episode, *, seed: int | None) -> Episode:
        """A copy of an episode that is between two turns."""
        copy = episode.fork(self._session.fork(episode.row, seed=seed))
        self._episodes[copy.row] = copy
        return copy

    def drop(self, episode: Episode) -> None:
        """Forgets an episode that is between two turns."""
        self._session.close(episode.row)
        self._limits.pop(episode.row, None)
        del self._episodes[episode.row]

    def events(self) -> Iterator[Event]:
        """What happens, until no episode goes on: it is for the caller to let answered ones ``go_on``, or to ``drop``
        them. Ended ones are dropped by themselves."""
        while not self.is_idle:
            yield from self.advance()

    @property
    def is_idle(self) -> bool:
        """No episode is in a turn, or waits for the environment."""
        return self._session.is_idle and not self._asked

    def advance(self) -> list[Event]:
        """One step of all rows, and what has happened with it."""
        events = [event for row, generation in self._session.step() for event in self._turn_ended(row, generation)]
        self._steps += 1
        return events + [event for question in self._due() for event in self._answered(question)]

    def ledger(self, *, prefilled: int, started: float) -> Ledger:
        """What the loop has cost.

        Args:
            prefilled: tokens of the prompts that were read.
            started: when the decode began, by ``time.perf_counter``.
        """
        return Ledger(
            generated_tokens=self._generated_tokens,
            prefilled_tokens=prefilled + self._observed_tokens,
            observations=self._observations,
            generate_seconds=time.perf_counter() - started,
            wait_seconds=self._wait_seconds,
        )

    def _grammar(self, episode: Episode) -> Grammar | None:
        """What the episode's next turn is held to."""
        if not episode.is_masked:
            return None
        return self._environment.grammar(episode.task, episode.question(self._tokenizer))

    def _note_lack(self, episode: Episode, grammar: Grammar | None, of: str) -> None:
        """Notes that nothing holds a turn which should be held to a grammar."""
        if episode.is_masked and grammar is None and episode.grammar_error is None:
            episode.grammar_error = f"environment '{self._environment.name}' has no grammar for this {of}"

    def _extend(self, episode: Episode, token_ids: Sequence[int], grammar: Grammar | None, most: int | None) -> None:
        left, pauses = self._part(self._budgets.turn(episode.length, episode.turn_length), most)
        self._limits.pop(episode.row, None)
        if pauses:
            self._limits[episode.row] = episode.written + left
        self._session.extend(episode.row, token_ids, max_new_tokens=left, grammar=grammar, pauses=pauses)

    def _part(self, left: int, most: int | None) -> tuple[int, bool]:
        """How much a part of a turn may write, and whether the turn only pauses there.

        Args:
            left: of the turn's budget.
            most: of what the caller allows; None: all of it.
        """
        if most is not None and most < left:
            return most, True
        return left, self._close is not None

    def _turn_ended(self, row: int, generation: Generation) -> list[Event]:
        episode = self._episodes[row]
        episode.add_generation(generation)
        self._generated_tokens += len(generation.token_ids)
        if generation.finish == "length" and row in self._limits:
            is_spent = self._budgets.turn(episode.length, episode.turn_length) < 1
            return [self._end(episode, "length") if is_spent else (episode, Answer(pause="limit"))]
        if generation.finish != "stop":
            return [self._end(episode, generation.finish)]
        if self._threads is None or not self._stopped_at(episode, self._environment.stops):
            return [self._pause(episode)]
        transcript = episode.question(self._tokenizer)
        answer = self._threads.submit(self._observe, episode.task, transcript)
        self._asked.append(_Question(episode=episode, answer=answer, step=self._steps))
        return []

    def _pause(self, episode: Episode) -> Event:
        """A step has ended; where no token is left, the episode too."""
        if self._budgets.turn(episode.length, episode.turn_length) < 1:
            return self._end(episode, "length")
        return episode, Answer(pause="delimiter")

    def _due(self) -> list[_Question]:
        """The questions whose rows come back now, in the order in which they were asked. Waits where it must."""
        is_idle = self._session.is_idle
        if self._rejoin_after is not None:
            last = self._steps - self._rejoin_after
            due = [question for question in self._asked if is_idle or question.step <= last]
            self._wait(due, return_when=FIRST_EXCEPTION)
        else:
            if is_idle:
                self._wait(self._asked, return_when=FIRST_COMPLETED)
            due = [question for question in self._asked if question.answer.done()]
        for question in due:
            self._asked.remove(question)
        return due

    def _wait(self, questions: Collection[_Question], *, return_when: str) -> None:
        if questions:
            started = time.perf_counter()
            done, _ = wait([question.answer for question in questions], return_when=return_when)
            self._wait_seconds += time.perf_counter() - started
            for answer in done:
                answer.result()  # an error of one ends the wait for the others

    def _observe(self, task: Task, transcript: Transcript) -> Observation | None:
        try:
            return self._environment.observe(task, transcript)
        except Exception as error:
            error.add_note(f"the environment '{self._environment.name}' was asked about a turn of task '{task.id}'")
            raise

    def _answered(self, question: _Question) -> list[Event]:
        episode = question.episode
        observation = question.answer.result()
        if observation is None:
            if self._delimiters and self._stopped_at(episode, self._delimiters):
                return [self._pause(episode)]
            if self._budgets.turn(episode.length, episode.turn_length) < 1:
                return [self._end(episode, "length")]
            limit = self._limits.get(episode.row)
            if limit is not None and limit <= episode.written:
                return [(episode, Answer(pause="limit"))]
            self._extend(episode, (), None, None if limit is None else limit - episode.written)
            return []
        if observation.ends_episode:
            return [self._end(episode, "stop")]
        ids = tuple(encode_text(self._tokenizer, observation.text))
        # An observation without room for a token after it would end the completion with text that nobody reads.
        if self._budgets.turn(episode.length + len(ids)) < 1:
            return [self._end(episode, "length")]
        self._observations += 1
        return [(episode, Answer(token_ids=ids, digest=observation.digest, text=observation.text))]

    def _stopped_at(self, episode: Episode, stops: Sequence[str]) -> bool:
        """Whether one of ``stops`` has ended a turn that some stop string has."""
        if not self._delimiters:
            return True  # the environment's are the only ones
        text = episode.question(self._tokenizer).segments[-1].text
        # The token that completes a stop may write a little more.
        return any(stop in text[-(len(stop) + LONGEST_PIECE) :] for stop in stops)

    def _end(self, episode: Episode, finish: FinishReason) -> Event:
        if finish == "length" and self._close is not None:
            self._close(episode)
        episode.end(finish)
        self.drop(episode)
        return episode, None

    def __enter__(self) -> "EpisodeLoop":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
