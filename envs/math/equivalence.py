r"""Which answers to one question mean the same, without the gold: ``5``, ``5.0`` and ``x = 5``; ``x+1`` and ``1+x``.

Equal are two answers of which one, taken for a gold, makes the other right (``envs.math.verification``). That relation
is not symmetric (``2+3`` is no answer to 5, but 5 is one to ``2+3``) nor transitive (``1, 2`` may be a tuple or a
set), so the order counts: the distinct answers to a question are gone through from the simplest on (plain numbers
first, lists without brackets last, those without a name before those with one, shorter ones before longer), and each
joins the first class whose representative makes it right, else represents a class of its own (leader clustering). So
classes hang neither on the order of the answers nor on the other questions in a call.

Plain numbers, words and equal texts find each other without a comparison. What is left costs at most n * c
comparisons, for n distinct answers in c classes, c at most ``COMPARED_CLASSES``, and they end when
n of them came to no end: an answer that was not compared is a class of its own, and a comparison without an end finds
nothing equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from envs.math.kind import as_words, gold_kind, outer_bracket
from envs.math.magnitude import is_beyond_computing
from envs.math.notation import undressed
from envs.math.number import plain_number
from envs.math.rules import ANSWER_CHARACTERS
from envs.math.verification import EQUAL, Verification, verify

ReadingError = Literal["unreadable", "beyond computing", "too long"]

COMPARED_CLASSES = 32
"""With as many representatives the answers to a question are compared, and no more."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an answer means. All fields are None but one."""

    meaning: str | None = None
    """The representative of its class, without dressing and spaces."""
    error: ReadingError | None = None
    unjudged: str | None = None
    """``deadline`` or ``verifier crash``: it could not be read."""


@dataclass(frozen=True, kw_only=True)
class _Form:
    """What texts have in common that are equal at sight."""

    text: str
    """As it is written without dressing; of a number its value."""
    name: str | None
    is_number: bool

    @property
    def meaning(self) -> str:
        """Different for different forms."""
        return self.text if self.name is None else f"{self.name} = {self.text}"

    @property
    def rank(self) -> tuple[Any, ...]:
        """The simplest has the least."""
        is_bare_list = outer_bracket(self.text) == "list"
        return not self.is_number, is_bare_list, self.name is not None, len(self.text), self.meaning


@dataclass(kw_only=True)
class _Question:
    """The answers to one question on their way into classes."""

    waiting: list[tuple[_Form, str]]
    """Forms without a class, each with a text of it; in the order in which they are gone through."""
    readings: dict[_Form, Reading] = field(default_factory=dict)
    patience: int
    """Comparisons that may yet come to no end."""
    classes: int = 0

    def take(self) -> tuple[_Form, str]:
        """The next form: from now on the representative of a class."""
        form, text = self.waiting.pop(0)
        self.readings[form] = Reading(meaning=form.meaning)
        self.classes += 1
        return form, text

    @property
    def is_compared(self) -> bool:
        """There is something to compare with the next representative."""
        return len(self.waiting) > 1 and self.classes < COMPARED_CLASSES and self.patience > 0


def read_answers(
    questions: Sequence[Sequence[str]], *, workers: int, deadline: float, canonical_number: bool = True
) -> list[list[Reading]]:
    """What each answer to each question means. Meanings are to be compared among the answers to one question alone.

    Args:
        questions: the answers to each, expressions alone; they may be hostile.
        workers, deadline, canonical_number: as of ``envs.math.verification.verify``.
    """
    forms = {text: _form(text) for texts in questions for text in texts if len(text) <= ANSWER_CHARACTERS}
    failed = _unreadable(forms, workers=workers, deadline=deadline)
    collected = [_question(texts, forms, failed) for texts in questions]
    while compared := [question for question in collected if question.is_compared]:
        leaders = [question.take() for question in compared]
        pairs = [
            (leader, text)
            for question, (_, leader) in zip(compared, leaders, strict=True)
            for _, text in question.waiting
        ]
        found = iter(verify(pairs, workers=workers, deadline=deadline, canonical_number=canonical_number))
        for question, (form, _) in zip(compared, leaders, strict=True):
            _join(question, form, [next(found) for _ in question.waiting])
    for question in collected:
        while question.waiting:
            question.take()
    return [
        [_reading(text, forms, failed, question) for text in texts]
        for texts, question in zip(questions, collected, strict=True)
    ]


def _form(text: str) -> _Form:
    expression = undressed(text)
    number = plain_number(text)
    if number is not None:
        written = f"{number.value}{'%' * number.is_percent}"
        return _Form(text=written, name=expression.name, is_number=True)
    words = as_words(expression.text) if gold_kind(text) == "words" else None
    if words is not None:
        return _Form(text=f"\\text{{{words}}}", name=None, is_number=False)
    return _Form(text=expression.compact, name=expression.name, is_number=False)


def _unreadable(forms: dict[str, _Form], *, workers: int, deadline: float) -> dict[str, Reading]:
    """What there is to say of answers that cannot be read: each is held against itself."""
    beyond = [text for text in forms if is_beyond_computing(undressed(text).text)]
    failed = dict.fromkeys(beyond, Reading(error="beyond computing"))
    asked = [text for text, form in forms.items() if not form.is_number and text not in failed]
    verifications = verify([(text, text) for text in asked], workers=workers, deadline=deadline)
    for text, verification in zip(asked, verifications, strict=True):
        if verification.unjudged == "defective gold":
            failed[text] = Reading(error="unreadable")
        elif verification.unjudged is not None:
            failed[text] = Reading(unjudged=verification.unjudged)
    return failed


def _question(texts: Sequence[str], forms: dict[str, _Form], failed: dict[str, Reading]) -> _Question:
    by_form: dict[_Form, str] = {}
    for text in sorted(texts):
        if text in forms and text not in failed:
            by_form.setdefault(forms[text], text)
    waiting = sorted(by_form.items(), key=lambda item: item[0].rank)
    return _Question(waiting=waiting, patience=len(waiting))


def _join(question: _Question, leader: _Form, verifications: Sequence[Verification]) -> None:
    """Those that the representative makes right join its class."""
    left = []
    for (form, text), verification in zip(question.waiting, verifications, strict=True):
        if verification == EQUAL:
            question.readings[form] = question.readings[leader]
        else:
            left.append((form, text))
            question.patience -= verification.unjudged is not None
    question.waiting = left


def _reading(text: str, forms: dict[str, _Form], failed: dict[str, Reading], question: _Question) -> Reading:
    if text not in forms:
        return Reading(error="too long")
    return failed.get(text) or question.readings[forms[text]]
