"""How long a text is in tokens: as an environment measures what it writes."""

from collections.abc import Callable

TokenCounter = Callable[[str], int]


def estimated_tokens(text: str) -> int:
    """A tokenizer's count, roughly and on the safe side: 3 bytes a token."""
    return -(-len(text.encode(errors="replace")) // 3)
