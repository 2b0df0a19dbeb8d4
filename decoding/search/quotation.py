"""Text of others within a question to the model: as a quotation whose every line is marked, bounded in length."""

MARK = "> "
CUT = "\n[...]\n"


def quoted(text: str, *, longest: int) -> str:
    """The text as a quotation. Whatever it holds, no line of it begins without the mark.

    Args:
        text: may be hostile.
        longest: characters of it that are shown (``shortened``).
    """
    # All that any reader takes for a new line, so that none shows a line without its mark.
    return "\n".join(MARK + line for line in shortened(text, longest).splitlines()) or MARK.rstrip()


def shortened(text: str, longest: int) -> str:
    """A text of at most ``longest`` characters, and a sign where the middle of a longer one was left out: what it
    begins and ends with says most."""
    if len(text) <= longest:
        return text
    end = longest // 2
    return text[: longest - end] + CUT + text[len(text) - end :]
