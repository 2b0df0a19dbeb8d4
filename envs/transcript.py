"""What was said in one episode: the model's text and the environment's observations, in order."""

from dataclasses import dataclass
from typing import Literal, TypedDict


class Message(TypedDict):
    """One chat message, as tokenizers' chat templates take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of text by one author."""

    author: Literal["model", "environment"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the environment answers to a model's turn."""

    text: str
    """The text that is appended to the transcript, its tags included."""
    digest: str | None = None
    """Identifies the outcome: two branches with equal digests saw the same result. None: never equal."""
    ends_episode: bool = False
    """The model's turn was its last: nothing is appended, and the transcript is judged as it stands."""


END = Observation(text="", ends_episode=True)
"""The observation after an answer."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """The ordered segments of one episode, without the prompt."""

    segments: tuple[Segment, ...]
    is_truncated: bool = False
    """True when a token budget cut the model off before it ended its answer."""
    tokens: int | None = None
    """Tokens that the model wrote; None when nobody counted (a reference, an answer from a file)."""
    begins_in_reasoning: bool = False
    """The prompt ended with the opening tag of the reasoning, as some chat templates write it: the model's first turn
    begins inside of that block."""

    @classmethod
    def of(
        cls, text: str, *, is_truncated: bool = False, tokens: int | None = None, begins_in_reasoning: bool = False
    ) -> "Transcript":
        """The transcript of a single model turn."""
        return cls(
            segments=(Segment(author="model", text=text),),
            is_truncated=is_truncated,
            tokens=tokens,
            begins_in_reasoning=begins_in_reasoning,
        )

    @property
    def text(self) -> str:
        """All that was said, by the model and by the environment."""
        return "".join(segment.text for segment in self.segments)

    @property
    def model_text(self) -> str:
        """All that the model wrote, observations left out."""
        return "".join(segment.text for segment in self.segments if segment.author == "model")


UNSAID = Transcript(segments=())
"""The transcript before the first turn."""
