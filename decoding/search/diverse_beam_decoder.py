"""The decoder of diverse beam search: the most probable texts of a task, of which one is chosen.

Not covered: environments that answer between turns, whose answers differ from beam to beam; engines that do not hold
the model in this process.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.chat_prompt import prompt_ids
from decoding.closing import close_text
from decoding.decoder import Decoding, Finish, judged, unsaid_episode
from decoding.engine import Generation
from decoding.episode import Episode
from decoding.forward import SampledModel
from decoding.grammar_threads import GrammarThreads
from decoding.rollout import Group, Ledger
from decoding.search.diverse_beam import Beam, BeamGroups, Opening
from decoding.search.diverse_beam_batch import search_beams
from decoding.search.selection import comparable, vote
from decoding.search.state import State
from decoding.search.strategy import Candidate
from decoding.transformers_engine import TransformersEngine, end_ids
from decoding.turn_grammar import TurnGrammar
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class DiverseBeamDecoder:
    """Finds the beams of each task and judges those that are chosen. Nothing is drawn: a seed changes nothing.

    Raises:
        ConfigurationError: the engine or the environment cannot be searched so, or an option has no meaning.
    """

    engine: TransformersEngine
    tokenizer: PreTrainedTokenizerBase
    environment: Environment[Any]
    budgets: Budgets
    groups: BeamGroups = field(default_factory=BeamGroups)
    grammar: bool = True
    """Beams are held to the grammars of their tasks."""
    select: Literal["best", "vote"] = "best"
    """The most probable one (``BeamGroups.score``) that is complete, or the best of those whose meaning most beams
    share."""
    max_batch_rows: int = 64
    """Beams of all tasks that are decoded at once; those of one task are at any rate."""

    def __post_init__(self) -> None:
        if not isinstance(self.engine, TransformersEngine):
            raise ConfigurationError(
                "diverse beam search needs the model in this process (engine transformers), not"
                f" {type(self.engine).__name__}"
            )
        require_one_turn(self.environment)
        if self.select not in ("best", "vote"):
            raise ConfigurationError(f"select is {self.select!r}; expected 'best' or 'vote'")
        self.budgets.require_room(self.environment)

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``: the chosen beam, then the others from the best on.

        Raises:
            ConfigurationError: more rollouts are asked for than there are beams.
        """
        finishes = {finish.place: finish for finish in self.stream(tasks, n=n, seed=seed)}
        ledger = sum((finish.cost for finish in finishes.values()), Ledger())
        return Decoding(groups=tuple(finishes[place].group for place in range(len(tasks))), ledger=ledger)

    def stream(
        self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None, most_rows: int | None = None
    ) -> Iterator[Finish]:
        """The rollouts that ``decode`` makes, batch by batch.

        Args:
            most_rows: beams that are decoded at once; None: as the decoder has room for.

        Raises:
            ConfigurationError: more rollouts are asked for than there are beams.
        """
        if (most := max(n, default=0)) > self.groups.beams:
            raise ConfigurationError(
                f"{most} answers of a task from {self.groups.beams} beams: raise beams, or ask for fewer answers"
            )
        rows = self.max_batch_rows if most_rows is None else min(most_rows, self.max_batch_rows)
        at_once = max(1, rows // self.groups.beams)
        for place, count in enumerate(n):
            if count < 1:
                yield Finish(place=place, group=Group(task=tasks[place], rollouts=()), cost=Ledger())
        wanted = [place for place, count in enumerate(n) if count > 0]
        for first in range(0, len(wanted), at_once):
            places = wanted[first : first + at_once]
            yield from self._batch([tasks[place] for place in places], [n[place] for place in places], places)

    def _batch(self, tasks: Sequence[Task], n: Sequence[int], places: Sequence[int]) -> Iterator[Finish]:
        """The tasks of one batch, which share its time.

        Args:
            places: of these tasks among all.
        """
        start = time.perf_counter()
        unsaid = [self._unsaid(task, place) for place, task in enumerate(tasks)]
        grammars = self._grammars(unsaid)
        openings = [self._opening(one, grammar) for one, grammar in zip(unsaid, grammars, strict=True)]
        with SampledModel(self.engine.model, None) as model:
            searchers = search_beams(model, openings, self.groups, end_ids(self.engine.model, self.tokenizer))
        candidates = [
            self._ranked(searcher.beams, [self._candidate(one, grammar, beam) for beam in searcher.beams])
            for one, grammar, searcher in zip(unsaid, grammars, searchers, strict=True)
        ]
        verify_seconds = 0.0
        if self.select == "vote":
            before = time.perf_counter()
            candidates = self._voted(candidates)
            verify_seconds = time.perf_counter() - before
        # A grammar may have fewer texts than answers are asked for: they come again.
        chosen = [
            one.state.episode for ones, count in zip(candidates, n, strict=True) for one in islice(cycle(ones), count)
        ]
        paths = [(Branch(node=number, start=0),) for count in n for number in range(count)]
        decoding = judged(tasks, chosen, paths, self.environment, self.tokenizer, Ledger())
        judge_seconds = decoding.ledger.judge_seconds
        generate_seconds = time.perf_counter() - start - verify_seconds - judge_seconds
        for number, (group, searcher) in enumerate(zip(decoding.groups, searchers, strict=True)):
            cost = Ledger(
                generated_tokens=searcher.written,
                prefilled_tokens=len(openings[number].prompt_ids),
                verifier_calls=len(candidates[number]) if self.select == "vote" else 0,
                generate_seconds=generate_seconds / len(tasks),
                verify_seconds=verify_seconds / len(tasks),
                judged=len(group.rollouts),
                judge_seconds=judge_seconds / len(tasks),
            )
            compared = (tuple(candidates[number]),) * len(group.rollouts)
            yield Finish(place=places[number], group=group, cost=cost, candidates=compared)

    def _unsaid(self, task: Task, place: int) -> Episode:
        prompt = prompt_ids(self.tokenizer, self.environment, task)
        unsaid = unsaid_episode(self.tokenizer, self.environment, task, place, prompt)
        return replace(unsaid, is_masked=self.grammar)

    def _grammars(self, unsaid: Sequence[Episode]) -> list[TurnGrammar | None]:
        """What holds each task's beams, compiled side by side."""
        if not self.grammar:
            return [None] * len(unsaid)
        threads = GrammarThreads(self.tokenizer, end_ids(self.engine.model, self.tokenizer))
        found = []
        for one in unsaid:
            grammar = self.environment.grammar(one.task, one.question(self.tokenizer))
            start, most = len(one.prompt_ids), self.budgets.turn(0)
            found.append(None if grammar is None else threads.begin(grammar, start=start, written=0, most=most))
        return found

    def _opening(self, unsaid: Episode, grammar: TurnGrammar | None) -> Opening:
        compiled = None if grammar is None else grammar.compiled()
        return Opening(
            prompt_ids=unsaid.prompt_ids,
            max_new_tokens=self.budgets.turn(0),
            matcher=None if compiled is None else compiled.matcher(),
        )

    def _ranked(self, beams: Sequence[Beam], candidates: Sequence[Candidate]) -> list[Candidate]:
        """From the best to the worst, those that were cut off after those that are complete; a text that several groups
        have found comes again after all others."""
        best_first = sorted(
            zip(beams, candidates, strict=True),
            key=lambda pair: (not pair[1].state.is_complete, -comparable(pair[1].score)),
        )
        texts: set[tuple[int, ...]] = set()
        found: list[Candidate] = []
        again: list[Candidate] = []
        for beam, candidate in best_first:
            (again if beam.token_ids in texts else found).append(candidate)
            texts.add(beam.token_ids)
        return [*found, *again]

    def _candidate(self, unsaid: Episode, grammar: TurnGrammar | None, beam: Beam) -> Candidate:
        episode = unsaid.fork(unsaid.row)
        generation = _generation(beam, unsaid.prompt_ids, grammar, most=self.budgets.turn(0))
        episode.add_generation(generation)
        episode.end(generation.finish)
        if self.grammar and grammar is None:
            episode.grammar_error = f"environment '{self.environment.name}' has no grammar for this task"
        state = State.of(episode, episode.transcript(self.tokenizer))
        return Candidate(state=state, score=self.groups.score(beam.log_p, len(beam.token_ids)))

    def _voted(self, candidates: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
        """The candidates of each task with their digests, the one that wins the vote before the others."""
        states = [one.state for ones in candidates for one in ones]
        found = iter(self.environment.examine([(state.task, state.transcript) for state in states]))
        ordered = []
        for ones in candidates:
            voting = [replace(one, digest=seen.digest) for one, seen in zip(ones, found, strict=False)]
            winner = vote(voting, weighted=False)
            ordered.append([winner, *(one for one in voting if one is not winner)])
        return ordered


def require_one_turn(environment: Environment[Any]) -> None:
    """Checks that answers to an environment can be found by beams.

    Raises:
        ConfigurationError: it answers between turns.
    """
    if environment.stops:
        raise ConfigurationError(
            f"environment '{environment.name}' answers between turns ({', '.join(environment.stops)}):"
            " diverse beam search knows one turn; take another decoder, or leave out tags.observation"
        )


def _generation(beam: Beam, prompt: Sequence[int], grammar: TurnGrammar | None, *, most: int) -> Generation:
    """A finished beam as what an engine makes of a turn: a structure that the budget cut off is closed."""
    assert beam.finish is not None
    compiled = None if grammar is None else grammar.compiled()
    if grammar is None or compiled is None:
        return Generation(
            token_ids=beam.token_ids,
            logprobs=beam.logprobs,
            log_z=None,
            finish=beam.finish,
            grammar_error=None if grammar is None else grammar.error,
        )
    ids, logprobs, log_z = beam.token_ids, beam.logprobs, beam.log_z
    limit = None if beam.matcher is None else beam.matcher.error
    closed = close_text(compiled, ids, most=most) if beam.finish == "length" and limit is None else None
    completion: tuple[int, ...] = ()
    if closed is not None and closed.error is None:
        completion = closed.completion
        nothing = (0.0,) * len(completion)
        ids = (*ids[: closed.kept], *completion)
        logprobs, log_z = (*logprobs[: closed.kept], *nothing), (*log_z[: closed.kept], *nothing)
    return Generation(
        token_ids=ids,
        logprobs=logprobs,
        log_z=log_z,
        finish=beam.finish,
        grammar=compiled.grammar,
        grammar_error=limit or (None if closed is None else closed.error),
        grammar_lenient=compiled.leniency,
        is_sentence=grammar.is_sentence([*prompt, *ids]),
        closed=len(completion),
        dropped_log_z=sum(beam.log_z[closed.kept :]) if completion and closed is not None else 0.0,
    )
