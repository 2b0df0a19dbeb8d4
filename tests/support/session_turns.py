"""Runs the turns of a session to their end."""

from decoding.engine import Generation
from decoding.session import Session


def run_turn(session: Session, *, most_steps: int) -> dict[int, Generation]:
    """All pending turns, to their end. One that makes no progress is to fail, not to hang: after ``most_steps``."""
    done: dict[int, Generation] = {}
    for _ in range(most_steps):
        done.update(session.step())
        if session.is_idle:
            return done
    raise AssertionError(f"turns go on after {most_steps} steps")
