"""SQL text that is being written under the names of a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from envs.grammar import Expected, Words
from envs.sql.scope.catalogue import Catalogue
from envs.sql.scope.endings import short_end
from envs.sql.scope.frames import Query
from envs.sql.scope.lexemes import cut
from envs.sql.scope.prefixes import in_quotes, is_open, is_word, number, signs, viable, words
from envs.sql.scope.state import State
from envs.sql.scope.transitions import accept, is_complete


class SqlText:
    """A SELECT, so far (``envs.grammar.NarrowedText``)."""

    def __init__(self, state: State, rest: bytes = b"", *, is_spaced: bool = False) -> None:
        """
        Args:
            state: after the whole lexemes.
            rest: the unfinished one.
            is_spaced: white space came last; the grammar has none at its end.
        """
        self._state = state
        self._rest = rest
        self.is_spaced = is_spaced

    def advance(self, text: bytes) -> None:
        """Appends text.

        Raises:
            ValueError: it is not allowed here.
        """
        found = self._after(text)
        if found is None:
            raise ValueError(f"{text!r} may not follow {self._rest!r} here")
        self._state, self._rest = found
        self.is_spaced = not self._rest and text[-1:].isspace()

    def copy(self) -> "SqlText":
        """Another text that has read the same."""
        return SqlText(self._state, self._rest, is_spaced=self.is_spaced)

    def allowed(self, continuations: Sequence[bytes]) -> list[bool]:
        """Which of these may come next; empty asks for the end."""
        verdicts: dict[bytes, bool] = self._state.found.setdefault((SqlText, self._rest), {})
        for each in continuations:
            if each and each not in verdicts:
                verdicts[each] = self._after(each) is not None
        return [verdicts[each] if each else self._may_end() for each in continuations]

    def expected(self) -> Expected:
        """What is known of all continuations at once."""
        key = (Expected, self._rest)
        if key not in self._state.found:
            self._state.found[key] = self._expected()
        return self._state.found[key]

    def ending(self) -> bytes | None:
        """A short text that ends this one."""
        return short_end(self)

    def place(self) -> tuple[State, bytes]:
        """Where the whole lexemes end, and the unfinished one."""
        return self._state, self._rest

    def is_closed(self) -> bool:
        """The unfinished lexeme could end here."""
        return not cut(self._rest + b" ")[1]

    def expected_words(self) -> Sequence[bytes]:
        """How the unfinished word can go on to one that may stand here."""
        return words(self._state, self._rest).listed

    def _expected(self) -> Expected:
        rest = self._rest
        if (pattern := in_quotes(self._state, rest)) is not None:
            return Expected(pattern=pattern)
        if is_open(rest):
            return Expected()
        spaced = self._after(b" ")
        pattern = signs(is_number=number(self._state, rest), is_spaced=spaced is not None)
        after_space = Words() if spaced is None else words(spaced[0], b"")
        if not rest or is_word(rest):
            return Expected(pattern, words(self._state, rest), after_space)
        # What follows a number at once could be its exponent.
        finished = None if rest[:1].isdigit() or rest[:1] == b"." != rest else self._finished()
        at_once = None if finished is None else words(finished, b"")
        return Expected(pattern, at_once, after_space)

    def _finished(self) -> State | None:
        """After the unfinished lexeme, taken as it is; None: it is not whole, or may not stand here."""
        whole, rest = cut(self._rest + b" ")
        return accept(self._state, whole[0]) if len(whole) == 2 and not rest else None

    def _after(self, text: bytes) -> tuple[State, bytes] | None:
        state = self._state
        whole, rest = cut(self._rest + text)
        for lexeme in whole:
            after = accept(state, lexeme)
            if after is None:
                return None
            state = after
        if rest and not viable(state, rest):
            return None
        return state, rest

    def _may_end(self) -> bool:
        if self.is_spaced:
            return False
        state = self._finished() if self._rest else self._state
        return state is not None and is_complete(state)


@dataclass(frozen=True)
class SqlScope:
    """SELECTs over a SQLite database in which every name is known where it stands (``envs.grammar.Narrowing``)."""

    catalogue: Catalogue

    def start(self) -> SqlText:
        """Nothing written yet."""
        return SqlText(self._start)

    @cached_property
    def _start(self) -> State:
        return State(self.catalogue, (Query("statement", "start"),)).unique()
