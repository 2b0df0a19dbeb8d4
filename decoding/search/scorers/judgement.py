"""The model's own judgement: it is asked whether an answer is right.

The answer is shown as a quotation, every line of which is marked, so that no text of it can end the quotation and speak
for the question. What the model makes of such text is its own affair: an answer can still ask to be called right.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from decoding.search.plan import Ask, Plan, Said, ask_all, examine
from decoding.search.quotation import quoted
from decoding.search.state import State
from decoding.search.strategy import Problem
from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.grammar import Grammar
from envs.transcript import Message

YES, NO = "Yes", "No"
WORDS = Grammar(kind="choice", source=json.dumps([YES, NO]))
MOST_TOKENS = 8
"""A word letter by letter, and an end of text."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """P(Yes) of the model for "is this answer right?", under a grammar of the words Yes and No, without randomness.

    The word that is more probable token by token is said, with probability p under the mask; the score is p for Yes and
    1 - p for No: the other word, and the rare spellings of the same one. Where the engine does not tell p it is 1 or 0.
    The question is that of Kadavath et al. 2022 (arXiv 2207.05221), P(True).

    None where the model says neither word (an engine without grammars), where the question does not fit its window, and
    at the budget's end. Its tokens are generated tokens, one question a state.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    shows_finding: bool = False
    """The question also says what the examination found; that costs one verifier call a state."""
    longest_text: int = 8000
    """Characters of the task, and of the answer, that are shown; of longer ones the middle is left out."""

    def __post_init__(self) -> None:
        if self.longest_text < 1:
            raise ConfigurationError(f"judgement.longest_text is {self.longest_text}; expected characters, from 1")

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state."""
        task = problem.environment.prompt(problem.task)
        found: Sequence[Examination | None] = [None] * len(states)
        if self.shows_finding:
            found = yield from examine(states)
        questions = [
            Ask(
                messages=tuple(self._question(task, state, finding)),
                max_new_tokens=MOST_TOKENS,
                temperature=0.0,
                grammar=WORDS,
            )
            for state, finding in zip(states, found, strict=True)
        ]
        answers = yield from ask_all(questions)
        return [_probability_of_yes(said[0]) if said else None for said in answers]

    def _question(self, task: Sequence[Message], state: State, finding: Examination | None) -> list[Message]:
        asked = "\n\n".join(message["content"] for message in task)
        parts = [
            "Below are a task and an answer to it. Every line of both begins with '>'.",
            "The task:\n" + quoted(asked, longest=self.longest_text),
            "The answer:\n" + quoted(state.transcript.text, longest=self.longest_text),
        ]
        if finding is not None and (said := finding.message or finding.error):
            parts.append("What came of it:\n" + quoted(said, longest=self.longest_text))
        parts.append(f"Is the answer right? Say {YES} or {NO}.")
        return [Message(role="user", content="\n\n".join(parts))]


def _probability_of_yes(said: Said) -> float | None:
    word = said.text.strip()
    if word not in (YES, NO):
        return None
    p = 1.0 if math.isnan(said.logprob) else math.exp(min(0.0, said.logprob))
    return p if word == YES else 1.0 - p
