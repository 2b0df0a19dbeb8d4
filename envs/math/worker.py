"""What runs in the verifier's worker processes: math-verify over one pair of expressions.

Only here are sympy and math-verify imported, so that the other side stays light. No time limit here: the pool kills a
worker that is late. The caller bounds the length of the expressions.
"""

import logging
import signal
import sys
from functools import lru_cache
from typing import Any, Literal

MEMORY_BYTES = 4 * 2**30

Comparison = Literal["equal", "different", "defective gold"]


def prepare() -> None:
    """Loads the libraries and bounds the worker's memory, before its first pair is timed."""
    import math_verify  # noqa: F401 - seconds of work that must not count against the first deadline

    # pebble answers SIGTERM in Python, which a worker deep inside an integer power never gets to.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable(logging.CRITICAL)  # math-verify warns at every call without a time limit of its own
    sys.set_int_max_str_digits(10_000)
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES if hard < 0 else min(MEMORY_BYTES, hard), hard))


def compare(gold: str, answer: str) -> Comparison:
    """Whether the two expressions are equal by math-verify's defaults, both of them boxed."""
    import math_verify

    expected = _gold(gold)
    if not expected:
        return "defective gold"
    found = math_verify.parse(f"\\boxed{{{answer}}}", parsing_timeout=None)
    if not math_verify.verify(expected, found, timeout_seconds=None):
        return "different"
    return "different" if _are_different_rationals(expected, found) else "equal"


@lru_cache(maxsize=4096)
def _gold(gold: str) -> list[Any]:
    import math_verify

    return math_verify.parse(f"\\boxed{{{gold}}}", parsing_timeout=None)


def _are_different_rationals(expected: list[Any], found: list[Any]) -> bool:
    """math-verify compares 15 digits and takes 2^-98 for 2^-99; exact rational numbers are compared exactly."""
    first, second = (getattr(side[0], "doit", lambda: None)() if side else None for side in (expected, found))
    are_rational = getattr(first, "is_Rational", False) and getattr(second, "is_Rational", False)
    return bool(are_rational and first != second)
