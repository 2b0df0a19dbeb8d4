"""Brackets that belong together, and the error of what cannot be read."""


class UnreadableError(ValueError):
    """The expression cannot be read as it is meant; the message says why."""


def closing_bracket(text: str, start: int) -> int:
    """The place behind the bracket, ``)`` or ``}``, that closes the one at ``start``.

    Raises:
        UnreadableError: there is none.
    """
    opening, depth = text[start], 0
    closing = ")" if opening == "(" else "}"
    for place in range(start, len(text)):
        depth += (text[place] == opening) - (text[place] == closing)
        if depth == 0:
            return place + 1
    raise UnreadableError("a bracket is never closed")
