"""What of a transcript is examined, and in which words a finding is told to the model."""

from envs.layout import Layout, Tags, completed_block
from envs.observation import CUT, UNSHOWABLE, Finding, tag_pattern
from envs.transcript import Transcript

MESSAGE_CHARACTERS = 1_000
"""A longer message is cut, and says so."""


def step_to_examine(transcript: Transcript, layout: Layout, tags: Tags) -> str | None:
    """The text of the last step, where the transcript has come to no answer; None where it has, be it a blank one, and
    where it has no step.

    Args:
        layout: of the transcript, by ``tags``.
    """
    if layout.answer is not None or not layout.steps:
        return None
    block = completed_block(transcript, tags)
    return None if block is not None and block.is_answer else layout.steps[-1]


def message_of(finding: Finding, tags: Tags) -> str:
    """A finding in at most ``MESSAGE_CHARACTERS`` characters, without tags of ``tags`` and control characters."""
    lines = [finding.text, *finding.rows]
    hidden = finding.row_count - len(finding.rows)
    if hidden > 0:
        lines.append(f"... ({hidden} more row{'s' * (hidden != 1)})")
    # Cut first: what a finding quotes may be as long as an answer.
    text = UNSHOWABLE.sub("\ufffd", "\n".join([line[: MESSAGE_CHARACTERS + 1] for line in lines]))
    if tags.names():
        text = tag_pattern(tags).sub("< ", text[: MESSAGE_CHARACTERS + 1])
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - len(CUT)] + CUT
