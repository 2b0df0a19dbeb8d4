"""ASAp and CARS: token samplers that learn how much of the model's mass leaves the language, prefix by prefix.

Both draw v with probability proportional to p(v|s) theta(s.v), theta being the trie's bound of P(y in L | s.v).

- ASAp (Park et al. 2024, arXiv 2405.21047) masks every place, so every text is in the language; texts follow P_L only
  in the limit, where theta has become exact.
- CARS (arXiv 2510.01902) masks only the places that it knows, and rejects a text at its first illegal token. A text is
  then drawn from p without what is known to be illegal, and an accepted one from P_L, at any time.

Each row goes by what was known when it began, or its text would follow several distributions in turn. Texts that are
drawn beside each other so learn nothing from each other, and stay exact. Not covered: forks within a turn.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from decoding.aligned.masking import log_sum, masked_log_p
from decoding.aligned.trie import Node, Visit, with_text
from decoding.grammars.matcher import Matcher
from decoding.token_sampler import Drawn


@dataclass
class _Text:
    """A row that is being written."""

    node: Node | None
    """What was known of the place where it is, when it began."""
    visits: list[Visit] = field(default_factory=list)
    log_proposal_mass: float = 0.0
    """log of the mass that the first token was drawn from."""


class TrieSampler:
    """A ``TokenSampler`` for the rows of one request, which all continue the same prompt at the same temperature."""

    def __init__(self, *, rejects: bool, max_nodes: int) -> None:
        """
        Args:
            rejects: draw without a mask at places that are not known, and reject illegal tokens (CARS); else ASAp.
            max_nodes: prefixes that are remembered; later ones are not learned.
        """
        self._rejects = rejects
        self._max_nodes = max_nodes
        self._root: Node | None = None
        self._nodes = 0
        self._texts: dict[int, _Text] = {}

    @property
    def log_theta(self) -> float:
        """log of the bound of p(L); 0 before the first text."""
        return 0.0 if self._root is None else self._root.log_theta

    @property
    def node_count(self) -> int:
        """The prefixes that are remembered."""
        return self._nodes

    def draw(self, row: int, written: tuple[int, ...], matcher: Matcher | None, log_p: Tensor, uniform: float) -> Drawn:
        """The next token of a row (``decoding.token_sampler``)."""
        if not written:
            self._texts[row] = _Text(node=self._root)
        text = self._texts[row]
        free, masked = masked_log_p(log_p, matcher)
        # The root has no prefix before it whose bound would have to know what its mask takes away.
        is_masked = not self._rejects or text.node is not None or not written
        scores = _with_bounds(masked if is_masked else free, text.node)
        if not written:
            text.log_proposal_mass = log_sum(scores)
        token = _invert(scores, uniform)
        return self._record(text, token, free, masked, is_possible=bool(scores[token] > -np.inf))

    def _record(self, text: _Text, token: int, log_p: np.ndarray, masked: np.ndarray, *, is_possible: bool) -> Drawn:
        known = frozenset() if text.node is None else frozenset(text.node.children)
        is_allowed = bool(masked[token] > -np.inf)
        others = masked.copy()
        others[[*known, token]] = -np.inf
        left = others[others > -np.inf]
        text.visits.append(
            Visit(
                token=token,
                log_p=float(log_p[token]),
                is_allowed=is_allowed,
                known=known,
                log_others=log_sum(left),
                others=len(left),
            )
        )
        edge = None if text.node is None else text.node.children.get(token)
        text.node = None if edge is None else edge.node
        log_z = log_sum(masked)
        return Drawn(
            token=token,
            logprob=float(masked[token]) - log_z if is_allowed else -math.inf,
            log_weight=min(0.0, log_z),
            ends_row=not is_allowed or not is_possible,
        )

    def end(self, row: int) -> float:
        """Learns from a row that goes no further, and forgets it.

        Returns:
            log of the mass of the texts that it was drawn among: CARS accepts it with probability p(L) over that mass.
        """
        text = self._texts.pop(row)
        self._root, new = with_text(self._root, text.visits, most_new=self._max_nodes - self._nodes)
        self._nodes += new
        return text.log_proposal_mass


def _with_bounds(scores: np.ndarray, node: Node | None) -> np.ndarray:
    """log p(v|s) + log theta(s.v), from log p of the tokens that may be drawn."""
    if node is None or not node.children:
        return scores
    bounded = scores.copy()
    bounded[list(node.children)] += [edge.node.log_theta for edge in node.children.values()]
    return bounded


def _invert(scores: np.ndarray, uniform: float) -> int:
    """The token at ``uniform`` of the cumulative distribution; the first one where nothing has any mass."""
    largest = scores.max()
    if largest == -np.inf:
        return 0
    cumulative = np.exp(scores - largest).cumsum()
    return min(int(cumulative.searchsorted(uniform * cumulative[-1], side="right")), len(scores) - 1)
