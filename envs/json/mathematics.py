"""The mathematical answer inside a JSON value: ``{"reasoning": ..., "answer": 18}``, of which the answer is verified.

Whether it is right is decided by ``envs.math``; this module only finds it and writes it as text.
"""

from decimal import Decimal
from typing import Any

from envs.json.task import MathGold


def math_answer(value: Any, gold: MathGold) -> str | None:
    """What stands at the gold's pointer, as ``envs.math`` reads answers; None when no number or string stands there.

    Args:
        value: the parsed answer. A number is written in full, without an exponent and without zeros at its end, so that
            18.0 is ``18``; a string is taken as it is.
        gold: says where to look.
    """
    found = _at(value, gold.pointer)
    if isinstance(found, str):
        return found
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return str(found) if isinstance(found, int) else _decimal(found)


def _at(value: Any, pointer: str) -> Any:
    """The part of a value to which a JSON Pointer (RFC 6901) leads; None where it leads to nothing."""
    if pointer and not pointer.startswith("/"):
        return None
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and step.isascii() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _decimal(number: float) -> str:
    # The shortest decimal that is this double: 0.1, not its binary expansion.
    text = f"{Decimal(repr(number)).normalize():f}"
    return "0" if text == "-0" else text
