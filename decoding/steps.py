"""Where an episode pauses in the midst of a turn, so that a search can choose how it goes on."""

from dataclasses import dataclass

from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where a step ends, beside the environment's own answers and the end of the episode.

    Raises:
        ConfigurationError: a delimiter is empty, or a step has no token.
    """

    delimiters: tuple[str, ...] = ("\n",)
    """A step ends with the token that completes one of them."""
    max_tokens: int | None = None
    """Most tokens of a step; None: as many as it takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "delimiters", tuple(self.delimiters))
        if "" in self.delimiters or not all(isinstance(text, str) for text in self.delimiters):
            raise ConfigurationError(f"steps.delimiters are {self.delimiters!r}; expected strings that are not empty")
        if self.max_tokens is not None and (not isinstance(self.max_tokens, int) or self.max_tokens < 1):
            raise ConfigurationError(f"steps.max_tokens is {self.max_tokens!r}; expected an integer from 1, or null")


WHOLE_ANSWERS = Steps(delimiters=())
"""No step ends before the environment answers, or the episode ends."""
