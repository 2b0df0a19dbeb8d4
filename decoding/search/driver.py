"""Runs the plans of many searches at once: their rows decode in one batch, their other wishes are granted together.

A search waits while its children are written; all others go on. Not covered: several sessions, or engines that decode
a part of the rows elsewhere.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from transformers import PreTrainedTokenizerBase

from decoding.chat_prompt import message_ids
from decoding.decoder import unsaid_episode
from decoding.engine import Engine, Generation, Request
from decoding.episode import Episode
from decoding.episode_loop import Answer, EpisodeLoop
from decoding.rollout import Ledger
from decoding.search.plan import Ask, AskAll, Begin, Examine, Expand, Rate, Rating, Said
from decoding.search.running import Growing, Search, Standing
from decoding.search.state import State
from decoding.steps import Steps
from envs.environment import Environment
from envs.examination import Examination

WishT = TypeVar("WishT", Begin, Expand, Examine, AskAll, Rate)


class Driver:
    """Of one episode loop."""

    def __init__(
        self,
        loop: EpisodeLoop,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        *,
        steps: Steps,
        is_masked: bool,
        room: int | None,
    ) -> None:
        """
        Args:
            loop: of a session of ``engine``.
            engine: answers questions outside of episodes.
            tokenizer: the model's.
            environment: that of the tasks.
            steps: the strategy's; ``loop`` pauses at their delimiters.
            is_masked: episodes are held to the grammars of their tasks.
            room: tokens that a prompt may have; None: any number.
        """
        self._loop = loop
        self._engine = engine
        self._tokenizer = tokenizer
        self._environment = environment
        self._steps = steps
        self._is_masked = is_masked
        self._room = room
        self._rows: dict[int, tuple[Search, Growing]] = {}

    @property
    def rows(self) -> int:
        """How many are being written."""
        return len(self._rows)

    def settle(self, searches: Sequence[Search]) -> None:
        """Grants what ``searches`` wish for, as far as it needs no decoding, until each is over or has rows that do."""
        while ready := [search for search in searches if search.wish is not None and not search.growing]:
            self._grant(ready)

    def advance(self, searches: Sequence[Search]) -> None:
        """One step of all rows; searches whose children are all there go on to their next wish."""
        if not self._rows:
            return
        for episode, answer in self._loop.advance():
            self._take(*self._rows[episode.row], answer)
        for search in searches:
            if search.growing and (children := search.grown) is not None:
                search.growing = []
                search.send(children)

    def forget(self, search: Search) -> None:
        """Closes the rows that a search has left."""
        for standing in search.standing.values():
            if standing.live is not None:
                self._loop.drop(standing.live)
        search.standing.clear()

    def _grant(self, ready: Sequence[Search]) -> None:
        for search, begin in _wishing(ready, Begin):
            search.send(self._begin(search, begin))
        for search, expand in _wishing(ready, Expand):
            self._expand(search, expand)
            if not search.growing:
                search.send([])
        if examining := _wishing(ready, Examine):
            self._examine(examining)
        if asking := _wishing(ready, AskAll):
            self._ask(asking)
        if rating := _wishing(ready, Rate):
            self._rate(rating)

    def _begin(self, search: Search, wish: Begin) -> State | None:
        messages = self._environment.prompt(search.task) if wish.messages is None else wish.messages
        prompt = message_ids(self._tokenizer, messages, search.task)
        if self._room is not None and len(prompt) > self._room:
            return None
        unsaid = unsaid_episode(self._tokenizer, self._environment, search.task, 0, prompt)
        unsaid.is_masked = self._is_masked
        return search.begin_root(unsaid, search.temperature if wish.temperature is None else wish.temperature)

    def _expand(self, search: Search, wish: Expand) -> None:
        """Begins the children that are granted; the last ones are left out first."""
        taken = [search.take_standing(state) for state in wish.states]
        widths = [0 if one.is_cut else width for one, width in zip(taken, wish.widths, strict=True)]
        left = granted = search.account.grant_children(sum(widths))
        for state, standing, wanted in zip(wish.states, taken, widths, strict=True):
            width = min(wanted, left)
            if not width:
                search.standing[id(standing.snapshot)] = standing
                continue
            shares = [search.account.reserve(left - child) for child in range(width)]
            left -= width
            begin = self._first_children if standing.live is None else self._next_children
            for episode, share in zip(begin(search, standing, wish, shares), shares, strict=True):
                child = Growing(
                    parent=state,
                    until=wish.until,
                    begun=standing.snapshot.written,
                    counted=standing.snapshot.written,
                    reserved=share,
                    episode=episode,
                )
                search.growing.append(child)
                self._rows[episode.row] = (search, child)
        assert granted == len(search.growing)

    def _first_children(
        self, search: Search, standing: Standing, wish: Expand, shares: Sequence[int | None]
    ) -> list[Episode]:
        """The rows that begin from a root."""
        search.account.add(Ledger(prefilled_tokens=len(standing.snapshot.prompt_ids)))
        assert standing.temperature is not None
        return self._loop.begin(
            standing.snapshot,
            n=len(shares),
            temperature=standing.temperature,
            seed=search.next_seed("root"),
            most=self._most(wish, 0, min((share for share in shares if share is not None), default=None)),
        )

    def _next_children(
        self, search: Search, standing: Standing, wish: Expand, shares: Sequence[int | None]
    ) -> list[Episode]:
        """The row of a state and forks of it, which go on."""
        assert standing.live is not None
        forks = [self._loop.fork(standing.live, seed=search.next_seed("fork")) for _ in shares[1:]]
        children = [standing.live, *forks]
        for child, share in zip(children, shares, strict=True):
            self._loop.go_on(child, standing.observation_ids, most=self._most(wish, 0, share))
        return children

    def _most(self, wish: Expand | Growing, written: int, share: int | None) -> int | None:
        """How much a row may write before it pauses, ``written`` of its step being there."""
        limits = [] if share is None else [share]
        if wish.until == "step" and self._steps.max_tokens is not None:
            limits.append(self._steps.max_tokens - written)
        return min(limits, default=None)

    def _take(self, search: Search, child: Growing, answer: Answer | None) -> None:
        """A row has ended, or its turn was answered or paused."""
        episode = child.episode
        search.account.write(episode.written - child.counted, reserved=child.reserved)
        child.counted, child.reserved = episode.written, None
        if answer is not None and answer.pause is None:
            search.account.add(Ledger(observations=1, prefilled_tokens=len(answer.token_ids)))
        goes_on = True
        if answer is not None and not self._ends_expansion(child, answer):
            growing = sum(other.grown is None for other in search.growing)
            share = search.account.reserve(growing)
            if share != 0:
                child.reserved = share
                most = self._most(child, episode.written - child.begun, share)
                self._loop.go_on(episode, answer.token_ids, most=most)
                return
            goes_on = False
        del self._rows[episode.row]
        transcript = episode.transcript(self._tokenizer) if answer is None else episode.question(self._tokenizer)
        search.grow(child, transcript, answer, goes_on=goes_on)
        if not goes_on:
            self._loop.drop(episode)

    def _ends_expansion(self, child: Growing, answer: Answer) -> bool:
        if answer.pause is None:
            return child.until != "end"
        if child.until != "step":
            return False
        most = self._steps.max_tokens
        return answer.pause == "delimiter" or (most is not None and child.episode.written - child.begun >= most)

    def _examine(self, examining: Sequence[tuple[Search, Examine]]) -> None:
        """All examinations at once; those of one search in one call, so that their digests can be compared."""
        allowed: list[tuple[Search, list[bool]]] = []
        states: list[State] = []
        for search, wish in examining:
            unknown = {id(one.episode): one.episode for one in wish.states if id(one.episode) not in search.examined}
            granted = search.account.grant_verifications(len(unknown))
            search.examined.update(list(unknown.items())[:granted])
            marks = [id(one.episode) in search.examined for one in wish.states]
            states += [one for one, mark in zip(wish.states, marks, strict=True) if mark]
            allowed.append((search, marks))
        found = iter(self._environment.examine([(one.task, one.transcript) for one in states]) if states else ())
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
            for request, share in ones:
                said = [] if request is None else [self._said(next(generations)) for _ in range(request.n)]
                search.account.write(sum(one.tokens for one in said), reserved=share)
                answers.append(said)
            search.send(answers)

    def _request(self, search: Search, question: Ask, left: int) -> tuple[Request | None, int | None]:
        """A question as far as the budget goes, and what was reserved for it.

        Args:
            left: questions that are asked together, this one and those after it.
        """
        prompt = message_ids(self._tokenizer, question.messages, search.task)
        has_room = self._room is None or len(prompt) <= self._room
        count = search.account.grant_children(question.n) if has_room else 0
        if not count:
            return None, None
        share = search.account.reserve(left)
        most = question.max_new_tokens if share is None else min(question.max_new_tokens, share // count)
        if most < 1:
            search.account.write(0, reserved=share)
            return None, None
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
        return request, share

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
            ratings = iter(rater(states) if states else ())
            for search, wish, count in wishes:
                own = [next(ratings) for _ in range(count)]
                search.account.add(Ledger(verifier_tokens=sum(one.tokens for one in own)))
                search.send([*own, *[None] * (len(wish.states) - count)])


def _wishing(searches: Sequence[Search], kind: type[WishT]) -> list[tuple[Search, WishT]]:
    """The searches that wait for a wish of one kind, and can have it now."""
    return [(one, one.wish) for one in searches if isinstance(one.wish, kind) and not one.growing]
