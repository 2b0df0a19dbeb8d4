"""What the generators of the bundled databases share: the type of a row and dates as TEXT."""

from datetime import date, timedelta
from random import Random

Row = tuple[str | int | float | None, ...]


def random_day(rng: Random, first: str, last: str) -> str:
    """A day between two ISO dates, both included."""
    start = date.fromisoformat(first)
    span = (date.fromisoformat(last) - start).days
    return (start + timedelta(days=rng.randint(0, span))).isoformat()


def days_after(day: str, days: int) -> str:
    """The ISO date ``days`` after ``day``."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
