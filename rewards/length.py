"""How long an answer is: nothing is paid for length, only for staying below a limit.

Not covered: whether an answer is too short. A short wrong answer earns this part in full unless ``correct`` gates it.
"""

from dataclasses import dataclass
from typing import Literal

from envs.errors import ConfigurationError
from envs.verdict import Verdict
from rewards.component import Component, ComponentOptions

FREE_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Length:
    """1 up to ``free``, then falling in a straight line to 0 at ``limit``:

        r(n) = clip((limit - n) / (limit - free), 0, 1)

    r - 1 is the soft overlong punishment of DAPO (arXiv 2503.14476, equation 13), with ``limit`` its L_max and
    ``limit - free`` its L_cache. That no answer at all is worth 0 is ours: writing nothing is not brevity.
    """

    limit: int
    """From this length on the value is 0; in units."""
    free: int | None = None
    """Up to this length the value is 1; in units. Null: four fifths of the limit, DAPO's 16,384 of 20,480."""
    unit: Literal["tokens", "characters"] = "tokens"
    """What is counted, of all that the model wrote, reasoning and steps included. Of an answer whose tokens nobody
    counted (a reference, an answer from a file) the length in tokens is not known, and the value None."""

    def __post_init__(self) -> None:
        if self.limit < 1 or not 0 <= self._free <= self.limit:
            raise ConfigurationError(
                f"length: limit is {self.limit} and free {self.free}; expected 0 <= free <= limit and a limit of at"
                " least 1"
            )

    @property
    def _free(self) -> int:
        return int(FREE_SHARE * self.limit) if self.free is None else self.free

    def component(self) -> Component:
        """The component with these options."""
        return Component(verdict=Verdict, measure=self._measure, is_rate=False)

    def _measure(self, verdict: Verdict) -> float | None:
        if verdict.answer is None:
            return 0.0
        written = verdict.layout.tokens if self.unit == "tokens" else verdict.layout.characters
        if written is None:
            return None
        if written <= self._free:
            return 1.0
        return max(0.0, (self.limit - written) / max(1, self.limit - self._free))


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {"length": Length}
