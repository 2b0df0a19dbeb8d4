"""How a test suite is made."""

from dataclasses import dataclass
from typing import Literal, get_args

from envs.errors import ConfigurationError, nearest

NullPolicy = Literal["data", "schema"]


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """How many small databases a suite has, how they are searched for and what may stand in them."""

    instances: int = 8
    """Databases that a suite keeps at most."""
    candidates: int = 84
    """Databases that are drawn at most to choose among; fewer when those reveal every mutant, or nothing more."""
    mutants: int = 72
    """One-edit mutants of the gold that the choice is made by; more of them are thinned out, operator by operator."""
    nulls: NullPolicy = "data"
    """Where NULL may stand: in columns in which the real database holds one (``data``), or wherever the schema allows
    it (``schema``), which also rejects predictions that differ from the gold only on NULLs that the domain never has.
    Primary keys hold none."""
    seed: int = 0
    """Another seed, other databases."""
    seconds: float = 20.0
    """Wall time after which the search ends with what it has; far beyond what SQLite needs. A suite that was cut short
    depends on the machine, every other one only on database, gold and settings."""

    def __post_init__(self) -> None:
        for name in ("instances", "candidates", "mutants", "seed"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < (0 if name == "seed" else 1):
                raise ConfigurationError(f"suite setting '{name}' is {value!r}; expected a positive integer")
        if self.candidates < self.instances:
            raise ConfigurationError(
                f"suite setting 'candidates' is {self.candidates}, fewer than the {self.instances} 'instances' to keep"
            )
        if not isinstance(self.seconds, (int, float)) or isinstance(self.seconds, bool) or not self.seconds > 0:
            raise ConfigurationError(f"suite setting 'seconds' is {self.seconds!r}; expected a positive number")
        policies = get_args(NullPolicy)
        if self.nulls not in policies:
            raise ConfigurationError(
                f"suite setting 'nulls' is {self.nulls!r}{nearest(str(self.nulls), policies)}; "
                f"known: {', '.join(policies)}"
            )
