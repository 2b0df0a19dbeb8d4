"""Values close to a given one: what tells ``<`` from ``<=``, ``=`` from ``LIKE``, a constant from the next one."""

import datetime
import re
from decimal import Decimal
from typing import Any

_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?=$|[ T])")
_WHOLE = re.compile(r"-?\d{1,15}")
_DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,10}")


def above(value: Any) -> Any:
    """A value just greater than ``value``, in the same format."""
    return _shifted(value, 1)


def below(value: Any) -> Any:
    """A value just less than ``value``, in the same format; for other texts one that sorts before it."""
    return _shifted(value, -1)


def neighbours(value: Any) -> list[Any]:
    """Values that a query which confuses, shifts or loosens the constant ``value`` treats differently."""
    if value is None or isinstance(value, bytes):
        return []
    if isinstance(value, bool):
        return [not value]
    near = [above(value), below(value)]
    if isinstance(value, str) and not _is_structured(value):
        other_case = value.lower() if value != value.lower() else value.upper()
        near += [value + "s", "x" + value, other_case]
    elif isinstance(value, float):
        near += [value + 0.1, value - 0.1]
    return [candidate for candidate in near if candidate != value]


def numbered(value: Any, number: int) -> Any:
    """The ``number``-th of endlessly many different values (from 1) that look like ``value``."""
    if isinstance(value, str) and not _is_structured(value):
        return f"{value}{_letters(number)}"
    return _shifted(value, number)


def matches(pattern: str) -> list[str]:
    """Texts that match a LIKE pattern: what ``%`` stands for empty, in front, behind."""
    literal = pattern.replace("_", "q")
    return list(dict.fromkeys([literal.replace("%", ""), literal.replace("%", "ab"), literal.replace("%", " ")]))


def near_matches(pattern: str) -> list[str]:
    """Texts that match the pattern with one ``%`` more, or lack a character that it asks for."""
    literal = pattern.replace("_", "q")
    plain = literal.replace("%", "")
    cut = max(literal.split("%"), key=len)[:-1]
    return list(dict.fromkeys(["z" + plain, plain + "z", cut, plain + "q" + plain]))


def _is_structured(text: str) -> bool:
    return bool(_WHOLE.fullmatch(text) or _DECIMAL.fullmatch(text) or _DATE.match(text))


def _shifted(value: Any, steps: int) -> Any:
    if isinstance(value, bool):
        return value if (steps > 0) == value else not value
    if isinstance(value, (int, float, Decimal)):
        return value + steps
    if isinstance(value, (datetime.date, datetime.datetime)):
        return _moved(value, steps)
    if isinstance(value, str):
        return _shifted_text(value, steps)
    if isinstance(value, bytes):
        return value + steps.to_bytes(4, "big", signed=True)
    return value


def _shifted_text(text: str, steps: int) -> str:
    if _WHOLE.fullmatch(text):
        return str(int(text) + steps).zfill(len(text))
    if _DECIMAL.fullmatch(text):
        return str(Decimal(text) + steps)
    if date := _DATE.match(text):
        try:
            day = datetime.date(*(int(part) for part in date.groups()))
        except ValueError:  # 2008-02-31: public databases hold such days
            day = datetime.date(2000, 1, 1)
        return _moved(day, steps).isoformat() + text[date.end() :]
    if steps > 0:
        return f"{text}{_letters(steps)}"
    return text[:-1] if len(text) > 1 else ""


def _moved(day: datetime.date, days: int) -> datetime.date:
    try:
        return day + datetime.timedelta(days=days)
    except OverflowError:
        return day


def _letters(number: int) -> str:
    """1 -> a, 26 -> z, 27 -> aa."""
    letters = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters
