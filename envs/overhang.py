"""What the token that completed a closing tag held behind it: ``></``, ``>.``, ``>\n``.

A turn of the model stops at the token that completes a closing tag, and a token cannot be cut: what else it holds stays
in the turn. The model could not go on there, so it has not written outside of its tags. Tokens are not known here; the
rule is therefore by characters, and so narrow that neither a word nor a number can be written under it.
"""

from bisect import bisect_right
from itertools import pairwise
from string import punctuation

from envs.tag_walk import TagWalk
from envs.transcript import Transcript

OVERHANG = 3
"""The most signs of ASCII's punctuation behind a tag, white space aside, that are taken for the rest of its token.
Ours: byte-level vocabularies keep letters and digits apart from punctuation, and that of SmolLM2 has at most two such
signs behind a bracket."""


def without_overhang(walk: TagWalk, transcript: Transcript, *, step: str | None, answer: str | None) -> str:
    """The walk's text, with spaces in place of the rest of a token at the end of a turn that was stopped.

    A turn was stopped where an observation follows it, by the tag of a step; and at the end of the transcript, by that
    of the answer or of a step too many.

    Args:
        walk: over the turns of the transcript.
        step: the tag of steps that are answered.
        answer: the tag of the answer.
    """
    parts: list[str] = []
    read_to = end = 0
    ends = [block.end for block in walk.blocks]
    for segment, following in pairwise((*transcript.segments, None)):
        if segment is None or segment.author != "model":
            continue
        begin, end = end, end + len(segment.text)
        place = bisect_right(ends, end) - 1
        if place < 0 or ends[place] <= begin or (following is not None and following.author == "model"):
            continue
        block, overhang = walk.blocks[place], walk.text[ends[place] : end].strip()
        stops = (step, answer) if following is None else (step,)
        if block.name in stops and len(overhang) <= OVERHANG and all(sign in punctuation for sign in overhang):
            parts += [walk.text[read_to : block.end], " " * (end - block.end)]
            read_to = end
    return "".join([*parts, walk.text[read_to:]])
