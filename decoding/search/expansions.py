"""The rows of searches: how states become children, within the budget and the steps of their strategy."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.episode_loop import Answer, EpisodeLoop
from decoding.rollout import Ledger
from decoding.search.plan import Drop, Expand
from decoding.search.running import Growing, Search
from decoding.seeds import derived_seed
from decoding.steps import Steps


class Expansions:
    """Of all searches over one episode loop."""

    def __init__(
        self, loop: EpisodeLoop, tokenizer: PreTrainedTokenizerBase, *, steps: Steps, budgets: Budgets
    ) -> None:
        """
        Args:
            loop: writes the rows; pauses at the delimiters of ``steps``.
            tokenizer: the model's.
            steps: the strategy's.
            budgets: of each episode; those of ``loop``.
        """
        self._loop = loop
        self._tokenizer = tokenizer
        self._steps = steps
        self._budgets = budgets
        self._rows: dict[int, tuple[Search, Growing]] = {}

    @property
    def rows(self) -> int:
        """How many are being written."""
        return len(self._rows)

    def advance(self) -> None:
        """One step of all rows."""
        if self._rows:
            for episode, answer in self._loop.advance():
                self._take(*self._rows[episode.row], answer)

    def begin(self, search: Search, wish: Expand) -> None:
        """Begins the children that are granted; the last ones are left out first."""
        taken = [search.take_standing(state) for state in wish.states]
        left = search.account.expansions_left(sum(wish.widths))
        for state, origin, wanted in zip(wish.states, taken, wish.widths, strict=True):
            width = min(wanted, left)
            left -= width
            if not width:
                search.standing[id(origin.snapshot)] = origin
            children = [
                Growing(parent=state, until=wish.until, origin=origin, sample=sample) for sample in range(width)
            ]
            if origin.live is not None:
                for child in children:
                    first = child.sample == 0
                    child.live = origin.live if first else self._loop.fork(origin.live, seed=search.next_seed("fork"))
            search.growing += children
        self._begin_children(search)

    def _begin_children(self, search: Search) -> None:
        """Lets children go on as far as the budget has room for all that each may need, in their order; the first of
        those that wait, with what is left, once none is in flight. Those that nothing is left for are given up."""
        waiting = [child for child in search.growing if not child.is_begun]
        while waiting:
            left, need = search.account.tokens_left, self._need(waiting[0])
            if left is None or need <= left:
                together = self._siblings(waiting, left, need)
            elif any(child.is_begun and child.grown is None for child in search.growing):
                return
            elif left < 1:
                self._give_up(search, waiting)
                return
            else:
                together, need = waiting[:1], left
            del waiting[: len(together)]
            self._begin_together(search, together, None if left is None else need)

    def _siblings(self, waiting: Sequence[Growing], left: int | None, need: int) -> list[Growing]:
        """The first of those that wait, with all of its siblings from the same root where the budget has room for
        them: their prompt is then read once."""
        first = waiting[0]
        siblings = [child for child in waiting if child.origin is first.origin] if first.live is None else [first]
        has_room = left is None or need * len(siblings) <= left
        return siblings if has_room and siblings[0].sample == 0 else [first]

    def _begin_together(self, search: Search, children: Sequence[Growing], share: int | None) -> None:
        first = children[0]
        most = self._most(first, share)
        if first.live is None:
            origin = first.origin
            # Of siblings that begin one by one each has a stream of its own.
            seed = origin.seed if first.sample == 0 else derived_seed(origin.seed, f"sibling {first.sample}")
            search.account.add(Ledger(prefilled_tokens=len(origin.snapshot.prompt_ids)))
            rows = self._loop.begin(
                origin.snapshot, n=len(children), temperature=origin.temperature, seed=seed, most=most
            )
            for child, episode in zip(children, rows, strict=True):
                child.live = episode
        for child in children:
            assert child.live is not None
            child.is_begun, child.reserved, child.counted = True, share, child.live.generated
            search.account.expand(1)
            if share is not None:
                search.account.reserve(share)
            self._rows[child.live.row] = (search, child)
            if child.origin.live is not None:
                self._go_on(search, child, child.origin.observation_ids)

    def _go_on(self, search: Search, child: Growing, observation_ids: Sequence[int]) -> None:
        assert child.live is not None
        search.account.add(Ledger(prefilled_tokens=len(observation_ids)))
        self._loop.go_on(child.live, observation_ids, most=self._most(child, child.reserved))

    def _give_up(self, search: Search, children: Sequence[Growing]) -> None:
        for child in children:
            search.growing.remove(child)
            if child.live is not None:
                self._loop.drop(child.live)

    def _need(self, child: Growing) -> int:
        """The most tokens that an expansion may take."""
        said = child.origin.snapshot
        length = said.length + len(child.origin.observation_ids)
        turn = self._budgets.turn(length, 0 if child.origin.observation_ids else said.turn_length)
        if child.until == "step":
            return turn if self._steps.max_tokens is None else min(turn, self._steps.max_tokens)
        return turn if child.until == "turn" else self._budgets.max_new_tokens - length

    def _most(self, child: Growing, share: int | None) -> int | None:
        """How much a row may write before it pauses.

        Args:
            child: whose row it is.
            share: what it may write in all; None: it has no limit.
        """
        limits = [] if share is None else [share]
        if child.until == "step" and self._steps.max_tokens is not None:
            written = 0 if child.live is None else child.live.written - child.begun
            limits.append(self._steps.max_tokens - written)
        return min(limits, default=None)

    def _take(self, search: Search, child: Growing, answer: Answer | None) -> None:
        """A row has ended, or its turn was answered or paused."""
        episode = child.live
        assert episode is not None
        tokens, child.counted = episode.generated - child.counted, episode.generated
        search.account.write(tokens)
        if child.reserved is not None:
            search.account.release(tokens)
            child.reserved -= tokens
        if answer is not None and answer.pause is None:
            search.account.add(Ledger(observations=1))
        if answer is not None and not self._ends_expansion(child, answer):
            if child.reserved != 0:
                self._go_on(search, child, answer.token_ids)
                return
            self._loop.cut(episode)
            answer = None
        del self._rows[episode.row]
        search.account.release(child.reserved or 0)
        transcript = episode.transcript(self._tokenizer) if answer is None else episode.question(self._tokenizer)
        search.grow(child, transcript, answer)
        self._begin_children(search)

    def _ends_expansion(self, child: Growing, answer: Answer) -> bool:
        if answer.pause is None:
            return child.until != "end"
        if child.until != "step":
            return False
        assert child.live is not None
        most = self._steps.max_tokens
        return answer.pause == "delimiter" or (most is not None and child.live.written - child.begun >= most)

    def drop(self, search: Search, wish: Drop) -> None:
        """Closes the rows of states that will not be expanded."""
        for state in wish.states:
            standing = search.standing.pop(id(state.episode), None)
            if standing is not None and standing.live is not None:
                self._loop.drop(standing.live)

    def forget(self, search: Search) -> None:
        """Closes the rows that a search has left."""
        for standing in search.standing.values():
            if standing.live is not None:
                self._loop.drop(standing.live)
        search.standing.clear()
