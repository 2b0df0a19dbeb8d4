"""Diverse beam search over tokens (Vijayakumar et al. 2016, arXiv 1610.02424), under masks of a grammar.

The beams of a task are divided into groups that move one after the other; a group avoids the tokens that earlier ones
have just taken. With one group it is beam search. Here is what happens to the beams of one task in a step; the forwards
are in ``decoding.search.diverse_beam_batch``.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from decoding.engine import FinishReason
from decoding.grammars.matcher import Matcher
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class BeamGroups:
    """How many beams there are, and what makes them differ.

    Raises:
        ConfigurationError: an option has no meaning, or the groups are not equally large.
    """

    beams: int = 4
    """Texts that are kept, B."""
    groups: int = 1
    """G; each has B / G of the beams."""
    diversity: float = 0.5
    """lambda: what a token costs a group for each beam of an earlier one that has just taken it."""
    length_penalty: float = 0.0
    """alpha: log p is divided by ((5 + length) / 6)^alpha where beams are compared (Wu et al. 2016, arXiv 1609.08144);
    0: not at all."""

    def __post_init__(self) -> None:
        if self.beams < 1 or self.groups < 1 or self.beams % self.groups:
            raise ConfigurationError(
                f"diverse beam search with {self.beams} beams in {self.groups} groups: both must be at least 1, and the"
                " groups equally large"
            )
        for name in ("diversity", "length_penalty"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} is {getattr(self, name)}; expected a number from 0")

    def score(self, log_p: float, length: int) -> float:
        """By which beams are compared.

        Args:
            log_p: the sum over the tokens of one.
            length: the number of its tokens.
        """
        return log_p / self._normaliser(length)

    def expansions(self, log_p: Tensor, length: int, taken: "Counter[int]") -> Tensor:
        """(R, V) scores of longer texts, less what their last tokens cost (Hamming diversity): of y_1 .. y_t in group g

            sum_i log p(y_i) / ((5 + t) / 6)^alpha - lambda #{beams of groups before g that have y_t at t}

        The cost is of this step alone: what was taken before is part of no later score.

        Args:
            log_p: (R, V) sums over the tokens, the new ones included.
            length: tokens of each, the new one included.
            taken: how many beams of earlier groups have taken each token in this step.
        """
        scores = log_p / self._normaliser(length)
        if taken and self.diversity:
            tokens = torch.tensor(list(taken), device=scores.device)
            scores[:, tokens] -= self.diversity * torch.tensor(list(taken.values()), device=scores.device)
        return scores

    def _normaliser(self, length: int) -> float:
        return float(((5 + length) / 6) ** self.length_penalty)


@dataclass(frozen=True, kw_only=True, eq=False)
class Beam:
    """A text, as far as it has got."""

    token_ids: tuple[int, ...] = ()
    """The end-of-text token included."""
    log_p: float = 0.0
    """The sum over its tokens of the model's own log-probability: beams are compared by what the model makes of them,
    and not by what is left of it under a mask."""
    logprobs: tuple[float, ...] = ()
    """log q of each token: under the mask."""
    log_z: tuple[float, ...] = ()
    """log of the mass that the mask allowed, token by token."""
    matcher: Matcher | None = None
    """After its tokens; None: nothing holds it to a grammar."""
    finish: FinishReason | None = None
    row: int = 0
    """Of the text without its last token in the batch before."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What the beams of one task begin with."""

    prompt_ids: Sequence[int]
    max_new_tokens: int
    matcher: Matcher | None = None
    """At the start of a grammar."""


class BeamSearcher:
    """The beams of one task."""

    def __init__(self, groups: BeamGroups, opening: Opening, end_ids: Collection[int], *, row: int) -> None:
        """
        Args:
            groups: how many beams there are.
            opening: what they begin with.
            end_ids: the tokens that end a text.
            row: of the prompt in the batch.
        """
        self._options = groups
        self._most = opening.max_new_tokens
        self._end_ids = frozenset(end_ids)
        root = Beam(matcher=opening.matcher, row=row)
        self._groups = [[root] for _ in range(groups.groups)]
        self.written = 0
        """Tokens of all beams, those that were given up included."""

    @property
    def live(self) -> list[Beam]:
        """The beams that go on, each text once."""
        return [beam for beam in dict.fromkeys(self.beams) if beam.finish is None]

    @property
    def beams(self) -> list[Beam]:
        """All beams, group after group; those of a group from the best to the worst."""
        return [beam for group in self._groups for beam in group]

    def step(self, live: Sequence[Beam], log_p: Tensor, log_z: Sequence[float], *, first: int) -> None:
        """Every group takes its next tokens.

        Args:
            live: the R beams that go on.
            log_p: (R, V) log-probabilities of their next tokens, -inf for what a mask forbids.
            log_z: log of the mass that each one's mask allowed.
            first: the row of the first of them in the batch; the others follow it.

        Raises:
            FloatingPointError: a group has nothing that it could write.
        """
        length = len(live[0].token_ids) + 1
        before = torch.tensor([beam.log_p for beam in live], dtype=log_p.dtype, device=log_p.device)
        sums = before[:, None] + log_p
        places = {beam: place for place, beam in enumerate(live)}
        longer: dict[tuple[int, int], Beam] = {}
        taken: Counter[int] = Counter()
        for number, group in enumerate(self._groups):
            rows = [places[beam] for beam in group if beam.finish is None]
            ended = [(self._score(beam), beam) for beam in group if beam.finish is not None]
            pool: list[tuple[float, Beam | tuple[int, int]]] = list(ended)
            if rows:
                scores = self._options.expansions(sums[rows], length, taken)
                best = scores.flatten().topk(min(self._size, scores.numel()))
                for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                    if score > -torch.inf:
                        pool.append((score, (rows[place // scores.shape[1]], place % scores.shape[1])))
            if not pool:
                raise FloatingPointError(
                    f"the mask leaves no token that the model could write after {length - 1} tokens"
                )
            # What has ended comes first where scores are equal: sorting is stable.
            pool.sort(key=lambda scored: -scored[0])
            group[:] = []
            for _, chosen in pool[: self._size]:
                if isinstance(chosen, Beam):
                    group.append(chosen)
                    continue
                place, token = chosen
                taken[token] += 1
                if chosen not in longer:
                    added = (float(log_p[place, token]), log_z[place])
                    longer[chosen] = self._longer(live[place], token, *added, row=first + place)
                group.append(longer[chosen])
            self._groups[number] = group
        self.written += len(longer)

    @property
    def _size(self) -> int:
        """Of a group."""
        return self._options.beams // self._options.groups

    def _score(self, beam: Beam) -> float:
        return self._options.score(beam.log_p, len(beam.token_ids))

    def _longer(self, beam: Beam, token: int, log_p: float, log_z: float, *, row: int) -> Beam:
        finish: FinishReason | None = "length" if len(beam.token_ids) + 1 == self._most else None
        if token in self._end_ids:
            finish = "eos"
        matcher = None if beam.matcher is None else beam.matcher.fork()
        # A text that goes on after a sentence's end, or after a limit of the back end, is none of the grammar's.
        if matcher is not None and finish != "eos" and not matcher.is_over:
            matcher.consume([token])
        return Beam(
            token_ids=(*beam.token_ids, token),
            log_p=beam.log_p + log_p,
            logprobs=(*beam.logprobs, log_p - log_z),
            log_z=(*beam.log_z, log_z),
            matcher=matcher,
            finish=finish,
            row=row,
        )
