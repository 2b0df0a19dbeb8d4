"""Runs the plans of many searches at once: their rows decode in one batch, their other wishes are granted together.

A search waits while its children are written; all others go on. Not covered: several sessions, or engines that decode
a part of the rows elsewhere.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.chat_prompt import message_ids
from decoding.decoder import unsaid_episode
from decoding.engine import Engine, Generation, Request
from decoding.rollout import Ledger
from decoding.search.expansions import Expansions
from decoding.search.plan import Ask, AskAll, Begin, Drop, Examine, Expand, Rate, Rating, Said
from decoding.search.running import Search
from decoding.search.state import State
from envs.environment import Environment
from envs.examination import Examination
from envs.task import Task

WishT = TypeVar("WishT", Begin, Expand, Drop, Examine, AskAll, Rate)


class Driver:
    """Of the searches of one session."""

    def __init__(
        self,
        expansions: Expansions,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        *,
        budgets: Budgets,
        is_masked: bool,
        window: int | None,
    ) -> None:
        """
        Args:
            expansions: over a session of ``engine``.
            engine: answers questions outside of episodes.
            tokenizer: the model's.
            environment: that of the tasks.
            budgets: of each episode.
            is_masked: episodes are held to the grammars of their tasks.
            window: tokens that a prompt and what follows it may have; None: any number.
        """
        self._expansions = expansions
        self._engine = engine
        self._tokenizer = tokenizer
        self._environment = environment
        self._is_masked = is_masked
        self._budgets = budgets
        self._window = window
        self.verify_seconds = 0.0
        """Spent on examining and rating."""

    def settle(self, searches: Sequence[Search]) -> None:
        """Grants what ``searches`` wish for, as far as it needs no decoding, until each is over or has rows that do."""
        while ready := [search for search in searches if search.wish is not None and not search.growing]:
            self._grant(ready)

    def advance(self, searches: Sequence[Search]) -> None:
        """One step of all rows; searches whose children are all there go on to their next wish."""
        self._expansions.advance()
        for search in searches:
            if search.growing and (children := search.grown) is not None:
                search.growing = []
                search.send(children)

    def _grant(self, ready: Sequence[Search]) -> None:
        for search, begin in _wishing(ready, Begin):
            search.send(self._begin(search, begin))
        for search, expand in _wishing(ready, Expand):
            self._expansions.begin(search, expand)
            if not search.growing:
                search.send([])
        for search, drop in _wishing(ready, Drop):
            self._expansions.drop(search, drop)
            search.send(None)
        if examining := _wishing(ready, Examine):
            self._examine(examining)
        if asking := _wishing(ready, AskAll):
            self._ask(asking)
        if rating := _wishing(ready, Rate):
            self._rate(rating)

    def _begin(self, search: Search, wish: Begin) -> State | None:
        messages = self._environment.prompt(search.task) if wish.messages is None else wish.messages
        prompt = message_ids(self._tokenizer, messages, search.task)
        if self._window is not None and len(prompt) + self._budgets.max_new_tokens > self._window:
            return None
        unsaid = unsaid_episode(self._tokenizer, self._environment, search.task, 0, prompt)
        unsaid.is_masked = self._is_masked
        return search.begin_root(unsaid, search.temperature if wish.temperature is None else wish.temperature)

    def _examine(self, examining: Sequence[tuple[Search, Examine]]) -> None:
        """All examinations at once; those of one search in one call, so that their digests can be compared."""
        allowed: list[tuple[Search, list[bool]]] = []
        states: list[State] = []
        tasks: list[Task] = []
        searched: Counter[str] = Counter()
        for search, wish in examining:
            unknown = {id(one.episode): one.episode for one in wish.states if id(one.episode) not in search.examined}
            granted = search.account.grant_verifications(len(unknown))
            search.examined.update(list(unknown.items())[:granted])
            marks = [id(one.episode) in search.examined for one in wish.states]
            own = [one for one, mark in zip(wish.states, marks, strict=True) if mark]
            states += own
            # Another search of the same task must not decide what its answers are compared with.
            others = searched[search.task.id]
            task = search.task if not others else replace(search.task, id=f"{search.task.id} (search {others})")
            tasks += [task] * len(own)
            searched[search.task.id] += 1
            allowed.append((search, marks))
        with self._verifying():
            texts = [(task, state.transcript) for task, state in zip(tasks, states, strict=True)]
            found = iter(map(_of_answer, states, self._environment.examine(texts) if texts else ()))
        for search, marks in allowed:
            results: list[Examination | None] = [next(found) if mark else None for mark in marks]
            search.send(results)

    def _ask(self, asking: Sequence[tuple[Search, AskAll]]) -> None:
        """Questions of all searches as one batch of the engine, which has rows of its own for them."""
        asked = [
            [
                self._request(search, question, len(wish.questions) - place)
                for place, question in enumerate(wish.questions)
            ]
            for search, wish in asking
        ]
        requests = [request for ones in asked for request, _ in ones if request is not None]
        generations = iter(self._engine.generate(requests) if requests else ())
        for (search, _), ones in zip(asking, asked, strict=True):
            answers: list[list[Said]] = []
            for request, reserved in ones:
                said = [] if request is None else [self._said(next(generations)) for _ in range(request.n)]
                search.account.release(reserved)
                search.account.write(sum(one.tokens for one in said))
                answers.append(said)
            search.send(answers)

    def _request(self, search: Search, question: Ask, left: int) -> tuple[Request | None, int]:
        """A question as far as the budget and the window go, and what was reserved for it.

        Args:
            left: questions that are asked together, this one and those after it.
        """
        prompt = message_ids(self._tokenizer, question.messages, search.task)
        most = question.max_new_tokens
        if self._window is not None:
            most = min(most, self._window - len(prompt))
        count = search.account.expansions_left(question.n)
        share = search.account.tokens_left
        if share is not None:
            share = max(share // left, min(1, share))
            count = min(count, share)
            most = min(most, share // max(1, count))
        if count < 1 or most < 1:
            return None, 0
        reserved = count * most
        search.account.expand(count)
        search.account.reserve(reserved)
        search.account.add(Ledger(prefilled_tokens=len(prompt)))
        request = Request(
            prompt_ids=prompt,
            max_new_tokens=most,
            stops=question.stops,
            grammar=question.grammar,
            temperature=search.temperature if question.temperature is None else question.temperature,
            n=count,
            seed=search.next_seed("question"),
        )
        return request, reserved

    @contextmanager
    def _verifying(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.verify_seconds += time.perf_counter() - started

    def _said(self, generation: Generation) -> Said:
        text = self._tokenizer.decode(
            list(generation.token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Said(text=text, logprob=sum(generation.logprobs), tokens=len(generation.token_ids))

    def _rate(self, rating: Sequence[tuple[Search, Rate]]) -> None:
        by_rater: dict[Callable[[Sequence[State]], list[Rating]], list[tuple[Search, Rate, int]]] = defaultdict(list)
        for search, wish in rating:
            by_rater[wish.rater].append((search, wish, search.account.grant_verifications(len(wish.states))))
        for rater, wishes in by_rater.items():
            states = [state for _, wish, count in wishes for state in wish.states[:count]]
            with self._verifying():
                ratings = iter(rater(states) if states else ())
            for search, wish, count in wishes:
                own = [next(ratings) for _ in range(count)]
                search.account.add(Ledger(verifier_tokens=sum(one.tokens for one in own)))
                search.send([*own, *[None] * (len(wish.states) - count)])


def _of_answer(state: State, found: Examination) -> Examination:
    """What was found of a state. Of an episode that has ended without an answer it is nothing: its last step, which is
    examined where there is no answer yet, must not pass for one."""
    if not state.is_final or found.answer is not None or found.unjudged is not None:
        return found
    return replace(found, digest=None, is_valid=False, error=found.error or "empty")


def _wishing(searches: Sequence[Search], kind: type[WishT]) -> list[tuple[Search, WishT]]:
    """The searches that wait for a wish of one kind, and can have it now."""
    return [(one, one.wish) for one in searches if isinstance(one.wish, kind) and not one.growing]
