"""Proofs that no sentence of a grammar is as short as a budget (ours): every way is gone, token by token.

Not covered: free text, whose ways are too many; nothing is proved then.
"""

from decoding.grammars.mask_words import allowed_tokens
from decoding.grammars.matcher import Matcher
from decoding.grammars.vocabulary import Vocabulary

PLACES = 1500
"""How many places a proof may look at."""


def is_out_of_reach(matcher: Matcher, vocabulary: Vocabulary, most: int) -> bool:
    """No text of at most ``most`` tokens is a sentence; False: one is, or there are too many to look at.

    Args:
        matcher: at any place; it does not move.
        vocabulary: of the matcher's tokens.
        most: tokens that may follow.
    """
    waiting = [(matcher.fork(), most)]
    places = 0
    while waiting:
        place, left = waiting.pop()
        if place.is_accepting:
            return False
        if left <= 0:
            continue
        words = place.mask()
        if words is None:
            return False  # a limit of the back end: what follows is not known
        allowed = allowed_tokens(words).tolist()
        places += len(allowed)
        if places > PLACES:
            return False
        for token in allowed:
            if token not in vocabulary.end_ids:
                ahead = place.fork()
                ahead.consume([token])
                waiting.append((ahead, left - 1))
    return True
