"""A place in a list of words, for a parser that reads from left to right."""

from collections.abc import Collection, Sequence

from envs.sql.metrics.spider_tokens import SpiderSyntaxError


class WordCursor:
    """The methods that need a word raise ``SpiderSyntaxError`` at the end of the words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.position = 0

    def at_end(self) -> bool:
        return self.position >= len(self.words)

    def at(self, words: Collection[str]) -> bool:
        """True when the next word is one of ``words``."""
        return not self.at_end() and self.words[self.position] in words

    def current(self) -> str:
        """The next word, which stays."""
        if self.at_end():
            raise SpiderSyntaxError("the query ends too early")
        return self.words[self.position]

    def take(self) -> str:
        """The next word, which is passed."""
        word = self.current()
        self.position += 1
        return word

    def accept(self, word: str) -> bool:
        """Passes the next word if it is ``word``; says whether it was."""
        is_there = not self.at_end() and self.words[self.position] == word
        self.position += is_there
        return is_there

    def expect(self, word: str) -> None:
        """Passes ``word``, which must come next."""
        if not self.accept(word):
            raise SpiderSyntaxError(f"'{word}' expected at word {self.position + 1}")

    def skip(self, word: str) -> None:
        """Passes ``word`` as often as it comes."""
        while self.accept(word):
            pass
