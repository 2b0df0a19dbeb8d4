"""The decoder that searches: one plan an answer, within a budget, over any engine and environment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.chat_prompt import prompt_ids
from decoding.cost_meter import CostMeter
from decoding.decoder import Decoding, Finish, judged, unsaid_episode
from decoding.engine import Engine
from decoding.episode import Episode
from decoding.episode_closing import close_episode
from decoding.episode_loop import EpisodeLoop
from decoding.rollout import Ledger
from decoding.search.account import Account, SearchBudget
from decoding.search.driver import Driver
from decoding.search.expansions import Expansions
from decoding.search.plan import Plan, begin
from decoding.search.running import Search
from decoding.search.strategy import Candidate, Problem, Selection, Strategy
from decoding.seeds import derived_seed, task_seeds
from decoding.session import Session
from decoding.steps import WHOLE_ANSWERS, Steps
from decoding.transformers_engine import engine_end_ids
from envs.environment import Environment
from envs.task import Task
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class SearchDecoder:
    """Answers that a strategy has searched for. Each is judged once; what it was chosen over is not.

    Raises:
        ConfigurationError: the environment cannot be searched so, or the budgets have no room for its steps.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    environment: Environment[Any]
    budgets: Budgets
    """Of each episode that is begun."""
    strategy: Strategy
    budget: SearchBudget = field(default_factory=SearchBudget)
    """Of the whole search for one answer."""
    temperature: float = 1.0
    is_masked: bool = False
    """Episodes are held to the grammars of their tasks."""
    rejoin_after: int | None = None
    """Decode steps after which a row that asked the environment goes on (``decoding.episode_loop``)."""
    window: int | None = None
    """The model's, for prompts that grow; None: there is no limit to them."""
    _steps: Steps = field(init=False)

    def __post_init__(self) -> None:
        self.budgets.require_room(self.environment)
        object.__setattr__(self, "_steps", self.strategy.steps(self.environment))

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``, each found by a search of its own; with a ``seed`` the same ones each
        time, whatever the batch."""
        finishes = sorted(self.stream(tasks, n=n, seed=seed), key=lambda finish: finish.place)
        ledger = sum((finish.cost for finish in finishes), Ledger())
        return Decoding(groups=tuple(finish.group for finish in finishes), ledger=ledger)

    def stream(
        self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None, most_rows: int | None = None
    ) -> Iterator[Finish]:
        """The rollouts that ``decode`` makes, task by task in the order in which they finish.

        Args:
            most_rows: a further task is begun while fewer rows than this decode; None: all are begun at once.
        """
        waiting = list(zip(range(len(tasks)), tasks, n, task_seeds(tasks, seed), strict=True))[::-1]
        running: dict[int, list[Search]] = {}
        with self.engine.session() as session, self._loop(session) as loop:
            meter = CostMeter(loop)
            expansions = Expansions(loop, self.tokenizer, steps=self._steps, budgets=self.budgets)
            driver = self._driver(expansions)
            while waiting or running:
                with meter.generating():
                    while waiting and (most_rows is None or expansions.rows < most_rows):
                        begun = []
                        for _ in range(self._room(len(waiting), running, expansions.rows, most_rows)):
                            place, task, count, task_seed = waiting.pop()
                            running[place] = self._searches(task, count, task_seed)
                            begun += running[place]
                        driver.settle(begun)
                    searches = [search for ones in running.values() for search in ones]
                    driver.advance(searches)
                    driver.settle(searches)
                for place in [place for place, ones in running.items() if all(one.wish is None for one in ones)]:
                    searches = running.pop(place)
                    for search in searches:
                        expansions.forget(search)
                    yield self._finish(searches, tasks[place], place, driver, meter)

    def _loop(self, session: Session) -> EpisodeLoop:
        return EpisodeLoop(
            session,
            self.tokenizer,
            self.environment,
            self.budgets,
            self.rejoin_after,
            steps=self._steps,
            close=self._close if self._writes_parts else None,
        )

    @property
    def _writes_parts(self) -> bool:
        """Turns may pause before their end: an engine then does not know all that it would have to close."""
        return self._steps != WHOLE_ANSWERS or self.budget.max_tokens is not None

    def _close(self, episode: Episode) -> None:
        close_episode(episode, self.tokenizer, engine_end_ids(self.engine, self.tokenizer))

    def _driver(self, expansions: Expansions) -> Driver:
        return Driver(
            expansions,
            self.engine,
            self.tokenizer,
            self.environment,
            budgets=self.budgets,
            is_masked=self.is_masked,
            window=self.window,
        )

    @staticmethod
    def _room(waiting: int, running: dict[int, list[Search]], rows: int, most_rows: int | None) -> int:
        """How many tasks are begun together, by the rows that those before them have: what they wish for first is
        granted to all at once."""
        if most_rows is None:
            return waiting
        widest = max((sum(len(search.growing) for search in ones) for ones in running.values()), default=0)
        return 1 if not widest else min(waiting, max(1, (most_rows - rows) // widest))

    def _searches(self, task: Task, count: int, seed: int) -> list[Search]:
        searches = []
        for sample in range(count):
            own_seed = seed if sample == 0 else derived_seed(seed, f"search {sample}")
            search = Search(
                task=task,
                seed=own_seed,
                plan=self._plan(task, own_seed),
                account=Account(self.budget),
                temperature=self.temperature,
            )
            search.send(None)
            searches.append(search)
        return searches

    def _plan(self, task: Task, seed: int) -> Plan[Selection | None]:
        root = yield from begin()
        if root is None:
            return None
        problem = Problem(task=task, environment=self.environment, root=root, seed=seed, budget=self.budget)
        return (yield from self.strategy.search(problem))

    def _finish(self, searches: Sequence[Search], task: Task, place: int, driver: Driver, meter: CostMeter) -> Finish:
        """Judges what the searches of a task have chosen."""
        episodes: list[Episode] = []
        candidates: list[tuple[Candidate, ...]] = []
        for search in searches:
            episodes.append(self._chosen(search))
            candidates.append(() if search.selection is None else search.selection.candidates)
        paths = [(Branch(node=number, start=0),) for number in range(len(episodes))]
        decoding = judged([task], episodes, paths, self.environment, self.tokenizer, Ledger())
        meter.add(decoding.ledger)
        seconds = meter.since()
        verifying, driver.verify_seconds = driver.verify_seconds, 0.0
        spent = sum((search.account.spent for search in searches), Ledger())
        cost = replace(
            spent,
            judged=seconds.judged,
            generate_seconds=max(0.0, seconds.generate_seconds - verifying),
            verify_seconds=verifying,
            wait_seconds=seconds.wait_seconds,
            judge_seconds=seconds.judge_seconds,
        )
        return Finish(place=place, group=decoding.groups[0], cost=cost, candidates=tuple(candidates))

    def _chosen(self, search: Search) -> Episode:
        """The episode that is judged; an empty one where the budget had no room for any."""
        if search.selection is not None:
            episode = search.selection.chosen.episode.snapshot()
        else:
            prompt = prompt_ids(self.tokenizer, self.environment, search.task)
            episode = unsaid_episode(self.tokenizer, self.environment, search.task, 0, prompt)
        if episode.finish is None:
            self._close(episode)
            episode.end("length")
        return episode
