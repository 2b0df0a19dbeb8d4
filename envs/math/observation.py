r"""What is answered to an expression: its value, ``42/5 = 8.4``, or why it has none.

The expression is read as ``envs.math.arithmetic`` says and computed in the verifier's worker processes, under their
deadline and memory limit; nothing of it is run as a program. Nothing of the task is looked at.
"""

import hashlib
from functools import lru_cache

from envs.math.arithmetic import UnreadableError, as_latex
from envs.math.magnitude import is_beyond_computing
from envs.math.pool import shared_pool
from envs.math.worker import CRASH
from envs.observation import Finding

BEYOND = "error: it is too large to compute"
UNANSWERED = Finding(text="(the expression could not be computed)")
KNOWN = 16_384
"""Expressions whose values are remembered: of at most some hundred characters each."""


class _CrashedError(Exception):
    """Nothing is known of the expression, and nothing is to be remembered."""


def find(step: str, *, workers: int, deadline: float) -> Finding:
    """What comes of the expression in a step. Its digest is that of the value, however the expression is written.

    Args:
        step: the text of the step.
        workers: processes that compute.
        deadline: seconds that computing may take.
    """
    try:
        text = _said(as_latex(step), workers, deadline)
    except UnreadableError as error:
        text = f"error: {error}"
    except _CrashedError:
        return UNANSWERED
    return Finding(text=text, digest=hashlib.sha256(text.encode()).hexdigest())


@lru_cache(maxsize=KNOWN)
def _said(latex: str, workers: int, deadline: float) -> str:
    """Remembered, deadlines that passed too: an expression that is made to last costs its seconds once."""
    if is_beyond_computing(latex):
        return BEYOND
    outcome = shared_pool(workers=workers, deadline=deadline).evaluate(latex)
    if outcome == CRASH:
        raise _CrashedError
    return f"error: it was not computed within {deadline:g} s" if outcome == "deadline" else outcome
