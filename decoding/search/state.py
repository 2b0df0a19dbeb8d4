"""A state of a search: an episode, as far as it has got."""

from dataclasses import dataclass, field

from decoding.episode import Episode
from envs.task import Task
from envs.transcript import Transcript


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What was said so far in one episode. Never changes: to expand it makes others."""

    task: Task
    transcript: Transcript
    """Of the model's turns and the environment's answers so far; empty at a root."""
    is_final: bool
    """The episode has ended: it cannot be expanded."""
    logprob: float
    """The sum of log q over the tokens that the model wrote; nan where the engine does not tell."""
    log_z: float | None
    """The sum of the log of the mass that the grammar allowed; None where none was applied, or the engine does not
    tell."""
    tokens: int
    """How many the model wrote; those that ended a structure in its place would make it look more probable."""
    digest: str | None = None
    """Of the environment's last answer, where the state ends with it (``envs.transcript.Observation``)."""
    parent: "State | None" = None
    """What it was expanded from; None for a root."""
    quota: int = 1
    """How many answers of its search it stands for."""
    episode: Episode = field(repr=False)
    """Tokens and records behind it, for who drives the search."""

    @classmethod
    def of(
        cls, episode: Episode, transcript: Transcript, *, digest: str | None = None, parent: "State | None" = None
    ) -> "State":
        """The state of an episode that nobody writes on any more.

        Args:
            episode: a snapshot, or one that is over.
            transcript: of it, and of what the environment has answered to it last.
            digest: of that answer.
            parent: what it was expanded from.
        """
        weights = [stretch.log_z for stretch in episode.stretches if stretch.log_z is not None]
        return cls(
            task=episode.task,
            transcript=transcript,
            is_final=episode.finish is not None,
            logprob=sum((sum(stretch.logprobs) for stretch in episode.stretches), 0.0),
            log_z=sum(map(sum, weights)) if weights else None,
            tokens=episode.drawn,
            digest=digest,
            parent=parent,
            quota=1 if parent is None else parent.quota,
            episode=episode,
        )

    @property
    def is_complete(self) -> bool:
        """The episode ended by itself, or its structure was ended for it; no budget has cut it off in the midst."""
        if not self.is_final:
            return False
        stretches = self.episode.stretches
        return not self.transcript.is_truncated or bool(stretches and stretches[-1].closed)

    @property
    def mean_logprob(self) -> float:
        """The mean of log q over the model's tokens; 0 where there are none."""
        return self.logprob / self.tokens if self.tokens else 0.0

    @property
    def depth(self) -> int:
        """Expansions between the root and here."""
        return 0 if self.parent is None else self.parent.depth + 1
