"""How an answer is laid out in tags: reasoning, plan, intermediate steps, the answer; and what is wrong with it.

    <think>which table?</think><intermediate_sql>SELECT 1</intermediate_sql> ... <final_sql>SELECT 2</final_sql>

How tags are read is in ``envs.tag_walk``. What the answer means is the environment's subject, not this module's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from envs.errors import ConfigurationError
from envs.overhang import without_overhang
from envs.tag_walk import TagWalk
from envs.transcript import Transcript

Defect = Literal[
    "unclosed tag",
    "stray tag",
    "forged observation",
    "no reasoning",
    "no plan",
    "several plans",
    "no answer",
    "several answers",
    "text outside",
    "after the answer",
]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The tags that an environment asks for; None: that part has none."""

    reasoning: str | None = None
    """Encloses what is thought and never judged: ``think``. The opening tag may be missing where a turn begins."""
    must_reason: bool = False
    """An answer without reasoning is laid out wrongly; false: it may be left out."""
    plan: str | None = None
    """Encloses a plan that comes before the answer (``EXPLORATION`` in E2C)."""
    step: str | None = None
    """Encloses something to be run before the answer (``intermediate_sql`` in ReEx-SQL); any number of them."""
    observation: str | None = None
    """Encloses what the environment answers to a step (``result``); a model that writes it itself forges it."""
    answer: str | None = None
    """Encloses the answer; None: the answer is what follows the last block of the others."""

    def __post_init__(self) -> None:
        names = self.names()
        for name in names:
            if not NAME.fullmatch(name):
                raise ConfigurationError(
                    f"tags: '{name}' is no name of a tag; expected a letter, then letters, digits, '_' or '-',"
                    " without <>"
                )
        if len(set(names)) < len(names):
            raise ConfigurationError(f"tags: {', '.join(names)} names a tag twice; each part needs one of its own")
        if self.observation is not None and self.step is None:
            raise ConfigurationError("tags: observation answers steps; it needs tags.step, or leave it out")
        if self.must_reason and self.reasoning is None:
            raise ConfigurationError("tags: must_reason needs tags.reasoning, the name of the tag (think)")

    def names(self) -> tuple[str, ...]:
        """All names in use."""
        every = (self.reasoning, self.plan, self.step, self.observation, self.answer)
        return tuple(name for name in every if name is not None)

    @property
    def answers_steps(self) -> bool:
        """Steps are asked for, and answered before the episode goes on."""
        return self.step is not None and self.observation is not None


@dataclass(frozen=True, kw_only=True)
class CompletedBlock:
    """A step or an answer with which a turn of the model ended."""

    is_answer: bool
    """False: it is a step."""
    text: str
    """What stands in it."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What stands where in a transcript, by its tags."""

    answer: str | None = None
    """The text that the answer is looked for in; None when the transcript has none (blank, or its tag missing)."""
    reasoning: str = ""
    """What stands in reasoning blocks, joined."""
    plan: str | None = None
    """What stands in the first plan block."""
    steps: tuple[str, ...] = ()
    """What stands in each step block, in order."""
    defect: Defect | None = None
    """The first thing wrong with the tags, in the order of ``Defect``; None when all is as asked."""
    tag_share: float = 0.0
    """Of the blocks that are asked for, the share that occurs as asked: once, closed and not blank (reasoning: at least
    once). Where none is asked for, 1 without a defect and else 0."""
    characters: int = 0
    """Characters that the model wrote in all."""
    tokens: int | None = None
    """Tokens that the model wrote in all; None when the transcript does not say."""


def read_layout(transcript: Transcript, tags: Tags) -> Layout:
    """The layout of what the model wrote; observations are left out. Never raises because of the text."""
    text = transcript.model_text
    if not tags.names():
        is_blank = not text.strip()
        return Layout(
            answer=None if is_blank else text,
            defect="no answer" if is_blank else None,
            tag_share=float(not is_blank),
            characters=len(text),
            tokens=transcript.tokens,
        )
    turns = [segment.text for segment in transcript.segments if segment.author == "model"]
    walk = walk_turns(turns, transcript, tags)
    answers = [block for block in walk.blocks if block.name == tags.answer]
    reasoning = [block.text for block in walk.blocks if block.name == tags.reasoning]
    plans = [block.text for block in walk.blocks if block.name == tags.plan]
    if tags.answer is not None:
        answer = answers[-1].text if answers else None
    elif walk.open is not None:
        answer = None
    else:
        answer = text[walk.blocks[-1].end if walk.blocks else 0 :]
    answer = answer if answer and answer.strip() else None
    written = walk.text
    if tags.answers_steps:
        written = without_overhang(walk, transcript, step=tags.step, answer=tags.answer)
    defect = _defect(walk, tags, answer, written=written)
    return Layout(
        answer=answer,
        reasoning="".join(reasoning),
        plan=plans[0] if plans else None,
        steps=tuple(block.text for block in walk.blocks if block.name == tags.step),
        defect=defect,
        tag_share=_tag_share(tags, reasoning, plans, [block.text for block in answers], defect),
        characters=len(text),
        tokens=transcript.tokens,
    )


def completed_block(transcript: Transcript, tags: Tags) -> CompletedBlock | None:
    """The step or answer that the last closing tag of one ends, in the last turn of the model; None where that tag
    closes nothing (it stands in open reasoning, a plan or a forged observation, or is stray), and where there is none.

    What stands behind that tag (a token can hold more than its end) does not count. Never raises because of the text.
    """
    last = transcript.segments[-1] if transcript.segments else None
    if last is None or last.author != "model":
        return None
    closing = (f"</{name}>" for name in (tags.step, tags.answer) if name is not None)
    end = max((place + len(tag) for tag in closing if (place := last.text.rfind(tag)) >= 0), default=0)
    turns = [segment.text for segment in transcript.segments[:-1] if segment.author == "model"] + [last.text[:end]]
    walk = walk_turns(turns, transcript, tags)
    block = walk.blocks[-1] if end and walk.blocks else None
    if block is None or block.end < len(walk.text) or block.name not in (tags.step, tags.answer):
        return None
    return CompletedBlock(is_answer=block.name == tags.answer, text=block.text)


def instruction(tags: Tags, *, answer: str = "answer", steps: str = "") -> str:
    """What the prompt says to ask for the tags; empty when there are none to ask for.

    Args:
        answer: what the answer is called: ``query``, ``JSON value``.
        steps: the sentences about steps (``step_instruction``), which stand before the answer; empty: none.
    """
    parts = []
    if tags.must_reason:
        parts.append(f"reason inside <{tags.reasoning}></{tags.reasoning}>")
    if tags.plan is not None:
        parts.append(f"write a short numbered plan inside <{tags.plan}></{tags.plan}>")
    if steps:
        final = f"Last, give the {answer} inside <{tags.answer}></{tags.answer}>."
        return " ".join(filter(None, (_sentence(parts), steps, final)))
    if tags.answer is not None:
        parts.append(f"give the {answer} inside <{tags.answer}></{tags.answer}>")
    return _sentence(parts)


def step_instruction(tags: Tags, *, purpose: str, result: str, most: int) -> str:
    """The sentences of a prompt that offer steps; empty where steps are not answered.

    Args:
        purpose: what steps are for: ``run queries``.
        result: what comes of one: ``its result``.
        most: how many are answered.
    """
    if not tags.answers_steps:
        return ""
    again = f", and you may reason again inside <{tags.reasoning}></{tags.reasoning}>" if tags.must_reason else ""
    return (
        f"Before the answer you may {purpose}, at most {most}: write each inside <{tags.step}></{tags.step}> and stop;"
        f" {result} is given in <{tags.observation}></{tags.observation}>{again}."
    )


def _sentence(parts: Sequence[str]) -> str:
    sentence = ", then ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def lay_out(answer: str, tags: Tags, *, reasoning: str, plan: str) -> str:
    """An answer in the tags that are asked for, with the given reasoning and plan where those must be there.

    ``read_layout`` finds the same answer in it again, unless the answer holds a tag of its own.
    """
    parts = []
    if tags.must_reason:
        parts.append(f"<{tags.reasoning}>{reasoning}</{tags.reasoning}>")
    if tags.plan is not None:
        parts.append(f"<{tags.plan}>{plan}</{tags.plan}>")
    parts.append(answer if tags.answer is None else f"<{tags.answer}>{answer}</{tags.answer}>")
    return "\n".join(parts)


def walk_turns(turns: Iterable[str], transcript: Transcript, tags: Tags) -> TagWalk:
    """The blocks of ``turns``, which are a transcript's model turns from the first on."""
    return TagWalk.over(
        turns,
        names=tags.names(),
        reasoning=tags.reasoning,
        step=tags.step,
        begins_in_reasoning=transcript.begins_in_reasoning,
    )


def _defect(walk: TagWalk, tags: Tags, answer: str | None, *, written: str) -> Defect | None:
    """
    Args:
        written: the walk's text without what does not count as written outside of the tags.
    """
    names = [block.name for block in walk.blocks]
    if walk.open is not None:
        return "unclosed tag"
    if walk.is_stray:
        return "stray tag"
    if tags.observation in names:
        return "forged observation"
    if tags.must_reason and not any(block.text.strip() for block in walk.blocks if block.name == tags.reasoning):
        return "no reasoning"
    if tags.plan is not None and not any(block.text.strip() for block in walk.blocks if block.name == tags.plan):
        return "no plan"
    if tags.plan is not None and names.count(tags.plan) > 1:
        return "several plans"
    if answer is None:
        return "no answer"
    if tags.answer is not None and names.count(tags.answer) > 1:
        return "several answers"
    # Without a tag of its own the answer is the last stretch outside.
    outside = walk.outside if tags.answer is not None else walk.outside[:-1]
    if any(written[start:end].strip() for start, end in outside):
        return "text outside"
    return "after the answer" if tags.answer is not None and names[-1] != tags.answer else None


def _tag_share(tags: Tags, reasoning: list[str], plans: list[str], answers: list[str], defect: Defect | None) -> float:
    kept = []
    if tags.must_reason:
        kept.append(any(text.strip() for text in reasoning))
    if tags.plan is not None:
        kept.append(len(plans) == 1 and bool(plans[0].strip()))
    if tags.answer is not None:
        kept.append(len(answers) == 1 and bool(answers[0].strip()))
    return sum(kept) / len(kept) if kept else float(defect is None)
