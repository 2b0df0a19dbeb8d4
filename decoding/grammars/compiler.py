"""Compiles grammars for one tokenizer, on any thread, and keeps what it has compiled."""

from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import Future
from threading import Lock
from weakref import WeakKeyDictionary, ref

from transformers import PreTrainedTokenizerBase

from decoding.grammars.backend import Compilation
from decoding.grammars.backends import backend as named_backend
from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.emptiness import endless_schema
from decoding.grammars.lark import json_schemas
from decoding.grammars.matcher import GrammarError
from decoding.grammars.narrowed import narrow
from decoding.grammars.schema_style import read_schema
from decoding.grammars.validation import Validator
from decoding.grammars.vocabulary import shared_vocabulary
from envs.grammar import Grammar

__all__ = ["CompiledGrammar", "GrammarCompiler", "shared_compiler"]

_THREADS = 2
# What a panic of a library in Rust is raised as; it is no ``Exception``.
_PANIC = "PanicException"
_MESSAGE_CHARACTERS = 300


class GrammarCompiler:
    """Turns grammars into matchers; for several threads at once.

    Compiled forms are cached by content, errors too, for the n samples of a request meet them n times. The least
    recently used leave.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        end_ids: Collection[int] = (),
        backend: str = "llguidance",
        capacity: int = 256,
        characters: int = 32_000_000,
    ) -> None:
        """
        Args:
            tokenizer: a fast tokenizer; it is not kept alive. Its vocabulary is read once a process.
            end_ids: the tokens that end a text; matchers allow them exactly where the text so far is a whole sentence.
                Empty: the tokenizer's own end-of-text token.
            backend: ``llguidance`` or ``xgrammar``.
            capacity: number of compiled grammars that are kept.
            characters: of all sources together that are kept, which bounds the memory of large schemas.

        Raises:
            ConfigurationError: the tokenizer cannot be read; there is no such back end; it is not installed.
        """
        self._tokenizer = ref(tokenizer)
        self._vocabulary = shared_vocabulary(tokenizer, end_ids=end_ids)
        self._backend = named_backend(backend, self._vocabulary)
        self._capacity = capacity
        self._characters = characters
        self._lock = Lock()
        self._compiled: OrderedDict[Grammar, Future[CompiledGrammar]] = OrderedDict()

    def compile(self, grammar: Grammar) -> CompiledGrammar:
        """The compiled form of ``grammar``; where another thread compiles it already, what that one makes of it.

        Raises:
            GrammarError: it cannot be compiled.
        """
        future, is_ours = self._future(grammar)
        if is_ours:
            self._fill(future, grammar)
        error = future.exception()
        if isinstance(error, GrammarError):
            # A new one each time: the one that is kept would gather the traces of all that it was raised through.
            raise GrammarError(*error.args)
        if error is not None:
            raise error.with_traceback(None)
        return future.result()

    def _future(self, grammar: Grammar) -> "tuple[Future[CompiledGrammar], bool]":
        """Where the compiled form will be; True: the caller is to see to it."""
        with self._lock:
            if grammar in self._compiled:
                self._compiled.move_to_end(grammar)
                return self._compiled[grammar], False
            future: Future[CompiledGrammar] = Future()
            future.set_running_or_notify_cancel()
            self._compiled[grammar] = future
            self._forget()
            return future, True

    def _forget(self) -> None:
        """Lets the least recently used go, never one that is being compiled: it would be compiled twice."""
        total = sum(map(_size, self._compiled))
        for grammar in list(self._compiled)[:-1]:
            if len(self._compiled) <= self._capacity and total <= self._characters:
                return
            if self._compiled[grammar].done():
                del self._compiled[grammar]
                total -= _size(grammar)

    def _fill(self, future: "Future[CompiledGrammar]", grammar: Grammar) -> None:
        try:
            future.set_result(self._compile(grammar))
        except GrammarError as error:
            # Without its trace and its cause, which hold all that the compilation had in hand.
            future.set_exception(GrammarError(*error.args))
        except BaseException as error:  # whoever waits must hear of it
            future.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _compile(self, grammar: Grammar) -> CompiledGrammar:
        try:
            made, validator = self._made(grammar)
        except GrammarError:
            raise
        # A source may be anything, and one that a library fails on must not take the rows beside it along.
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
                raise
            message = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
            raise GrammarError(f"cannot be compiled: {type(error).__name__}: {message}") from error
        start = made.start
        if _is_narrowed(grammar):
            tokenizer = self._tokenizer()
            if tokenizer is None:
                raise ValueError("the tokenizer of this compiler is gone: keep it as long as you compile")
            start = narrow(start, grammar, tokenizer, self._vocabulary.end_ids)
        return CompiledGrammar(
            grammar=grammar,
            start=start,
            vocabulary=self._vocabulary,
            masked=made.masked,
            leniency=made.leniency,
            validator=validator,
        )

    def _made(self, grammar: Grammar) -> tuple[Compilation, Validator | None]:
        for _, _, schema in json_schemas(grammar):
            endless = endless_schema(read_schema(schema))
            if endless is not None:
                raise GrammarError(f"accepts no text: a value of {endless} must contain another one, without end")
        made = self._backend.compile(grammar)
        is_strict = made.leniency is None and not made.needs_validation
        if is_strict and not made.may_repeat_keys:
            return made, None
        return made, Validator(grammar, self._vocabulary, masked=made.masked, is_strict=is_strict)


def _contents(grammar: Grammar) -> list[Grammar]:
    return [block.content for region in grammar.regions for block in region.blocks if block.content is not None]


def _is_narrowed(grammar: Grammar) -> bool:
    return grammar.narrowing is not None or any(map(_is_narrowed, _contents(grammar)))


def _size(grammar: Grammar) -> int:
    """The characters of a grammar's sources."""
    return len(grammar.source) + sum(map(_size, _contents(grammar)))


_SHARED: WeakKeyDictionary[PreTrainedTokenizerBase, dict[tuple[str | int, ...], GrammarCompiler]] = WeakKeyDictionary()
_SHARED_LOCK = Lock()


def shared_compiler(
    tokenizer: PreTrainedTokenizerBase, *, end_ids: Collection[int], backend: str = "llguidance"
) -> GrammarCompiler:
    """The one compiler of this process for a tokenizer, its end-of-text tokens and a back end, with all that it has
    compiled.

    Raises:
        ConfigurationError: the tokenizer cannot be read; there is no such back end; it is not installed.
    """
    # The size is part of the key: a tokenizer that has gained tokens since is another one.
    key: tuple[str | int, ...] = (backend, len(tokenizer), *sorted(end_ids))
    with _SHARED_LOCK:
        compilers = _SHARED.setdefault(tokenizer, {})
        if key not in compilers:
            compilers[key] = GrammarCompiler(tokenizer, end_ids=end_ids, backend=backend)
        return compilers[key]
