"""One episode while it grows: stretches of tokens by the model and by the environment, in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from transformers import PreTrainedTokenizerBase

from decoding.engine import FinishReason, Generation, Timing
from decoding.rollout import GrammarSpan, Rollout
from decoding.token_text import segment_texts
from envs.grammar import Grammar
from envs.task import Task
from envs.transcript import Segment, Transcript
from envs.verdict import Verdict
from rewards.credit import Branch

CONTEXT = 16
"""Tokens before a stretch that are decoded with it: tokenizers write the first word of a text in another way."""


@dataclass
class Stretch:
    """Tokens by one author, with what is recorded of each."""

    by_model: bool
    token_ids: list[int]
    logprobs: list[float]
    log_z: list[float] | None = None
    grammar: Grammar | None = None
    """What masked it; None: nothing did."""
    masked: int = 0
    """How many of its first tokens were drawn under it: a turn can go on where no mask holds it any more."""
    closed: int = 0
    """How many of its last tokens ended a structure in the model's place (``Generation.closed``)."""

    def copy(self) -> "Stretch":
        return Stretch(
            by_model=self.by_model,
            token_ids=list(self.token_ids),
            logprobs=list(self.logprobs),
            log_z=None if self.log_z is None else list(self.log_z),
            grammar=self.grammar,
            masked=self.masked,
            closed=self.closed,
        )


@dataclass
class Episode:
    """A row of a session, and all that was said in it."""

    task: Task
    place: int
    """The place of its task in the decode."""
    row: int
    """Its number in the session."""
    prompt_ids: Sequence[int]
    begins_in_reasoning: bool = False
    """The prompt has opened the reasoning, as some chat templates do."""
    is_masked: bool = False
    """Its turns are held to the grammars of the task."""
    stretches: list[Stretch] = field(default_factory=list)
    finish: FinishReason | None = None
    """Why the episode ended; None while it goes on."""
    is_truncated: bool = False
    """A budget ended it."""
    grammar_error: str | None = None
    grammar_lenient: str | None = None
    is_sentence: bool | None = None
    timing: Timing | None = None
    """Of the first turn; the pauses within it are left out."""
    generated: int = 0
    """Tokens that an engine has made for it, whatever became of them."""
    texts: list[tuple[int, str]] = field(default_factory=list)
    """Of each stretch that the environment was told of: how long it was then, and its text."""

    @property
    def length(self) -> int:
        """Tokens of the completion so far, observations included."""
        return sum(len(stretch.token_ids) for stretch in self.stretches)

    @property
    def turn_length(self) -> int:
        """Tokens that the model has written since the environment last spoke."""
        return len(self.stretches[-1].token_ids) if self.stretches and self.stretches[-1].by_model else 0

    @property
    def written(self) -> int:
        """Tokens by the model so far, or in its place."""
        return sum(len(stretch.token_ids) for stretch in self.stretches if stretch.by_model)

    @property
    def drawn(self) -> int:
        """Tokens by the model so far: without those that ended a structure in its place."""
        return self.written - sum(stretch.closed for stretch in self.stretches)

    def add_generation(self, generation: Generation) -> None:
        """Appends what the model wrote; what follows another stretch of its own continues it."""
        self.generated += len(generation.token_ids)
        self._time(generation)
        log_z = None if generation.log_z is None else list(generation.log_z)
        self.grammar_error = self.grammar_error or generation.grammar_error
        self.grammar_lenient = self.grammar_lenient or generation.grammar_lenient
        if generation.is_sentence is not None:
            self.is_sentence = generation.is_sentence and self.is_sentence is not False
        if self.stretches and self.stretches[-1].by_model:
            last = self.stretches[-1]
            if last.grammar == generation.grammar and last.masked == len(last.token_ids):
                last.masked += len(generation.token_ids)
            last.token_ids += generation.token_ids
            last.logprobs += generation.logprobs
            last.log_z = last.log_z + log_z if last.log_z is not None and log_z is not None else None
            last.closed = generation.closed
        else:
            self.stretches.append(
                Stretch(
                    by_model=True,
                    token_ids=list(generation.token_ids),
                    logprobs=list(generation.logprobs),
                    log_z=log_z,
                    grammar=generation.grammar,
                    masked=len(generation.token_ids),
                    closed=generation.closed,
                )
            )

    def _time(self, generation: Generation) -> None:
        if not self.stretches:
            self.timing = generation.timing
        elif len(self.stretches) == 1 and self.timing is not None:  # the first turn goes on
            more = generation.timing
            last = None if more is None else self.timing.last_token + more.last_token
            self.timing = None if last is None else replace(self.timing, last_token=last)

    def close(self, kept: int, completion: Sequence[int]) -> None:
        """Ends the last turn's structure in the model's place.

        Args:
            kept: tokens of the turn that stay.
            completion: what follows them.
        """
        stretch = self.stretches[-1]
        nothing = [0.0] * len(completion)
        stretch.token_ids[kept:] = completion
        stretch.logprobs[kept:] = nothing
        if stretch.log_z is not None:
            stretch.log_z[kept:] = nothing
        stretch.closed = len(completion)
        del self.texts[len(self.stretches) - 1 :]

    def add_observation(self, token_ids: Sequence[int]) -> None:
        """Appends what the environment said."""
        self.stretches.append(Stretch(by_model=False, token_ids=list(token_ids), logprobs=[0.0] * len(token_ids)))

    def end(self, finish: FinishReason) -> None:
        """It goes no further; ``length`` says that a budget ended it."""
        self.finish = finish
        self.is_truncated = finish == "length"

    def fork(self, row: int) -> "Episode":
        """Another episode that has said the same so far, in a row of its own."""
        return Episode(
            task=self.task,
            place=self.place,
            row=row,
            prompt_ids=self.prompt_ids,
            begins_in_reasoning=self.begins_in_reasoning,
            is_masked=self.is_masked,
            stretches=[stretch.copy() for stretch in self.stretches],
            grammar_error=self.grammar_error,
            grammar_lenient=self.grammar_lenient,
            is_sentence=self.is_sentence,
            timing=self.timing,
            generated=self.generated,
            texts=list(self.texts),
        )

    def snapshot(self) -> "Episode":
        """What was said up to now, whatever is said later."""
        copy = self.fork(self.row)
        copy.finish, copy.is_truncated = self.finish, self.is_truncated
        return copy

    def question(self, tokenizer: PreTrainedTokenizerBase) -> Transcript:
        """What was said so far, for the environment to answer.

        As ``transcript``, in time linear over all turns: of earlier stretches only the last few tokens are decoded
        again. The two can differ where bytes that make no character lie on a border.
        """
        for place, stretch in enumerate(self.stretches):
            if place == len(self.texts):
                self.texts.append((0, ""))
            if self.texts[place][0] != len(stretch.token_ids):
                before = [token for earlier in self.stretches[max(0, place - 2) : place] for token in earlier.token_ids]
                text = segment_texts(tokenizer, [before[-CONTEXT:], stretch.token_ids])[1]
                self.texts[place] = (len(stretch.token_ids), text)
        return self._transcript([text for _, text in self.texts])

    def transcript(self, tokenizer: PreTrainedTokenizerBase) -> Transcript:
        """What was said, as text."""
        return self._transcript(segment_texts(tokenizer, [stretch.token_ids for stretch in self.stretches]))

    def _transcript(self, texts: Sequence[str]) -> Transcript:
        return Transcript(
            segments=tuple(
                Segment(author="model" if stretch.by_model else "environment", text=text)
                for stretch, text in zip(self.stretches, texts, strict=True)
            ),
            is_truncated=self.is_truncated,
            begins_in_reasoning=self.begins_in_reasoning,
            tokens=self.written,
        )

    def rollout(self, transcript: Transcript, verdict: Verdict, branches: tuple[Branch, ...]) -> Rollout:
        """The finished episode as the trainer takes it."""
        assert self.finish is not None
        has_log_z = any(stretch.log_z is not None for stretch in self.stretches)
        log_z = [value for one in self.stretches for value in one.log_z or [0.0] * len(one.token_ids)]
        return Rollout(
            prompt_ids=self.prompt_ids,
            completion_ids=tuple(token for stretch in self.stretches for token in stretch.token_ids),
            logprobs=[logprob for stretch in self.stretches for logprob in stretch.logprobs],
            env_mask=[mark for stretch in self.stretches for mark in _marks(stretch)],
            log_z=log_z if has_log_z else None,
            grammars=tuple(self._spans()),
            finish=self.finish,
            transcript=transcript,
            verdict=verdict,
            branches=branches,
            grammar_error=self.grammar_error,
            grammar_lenient=self.grammar_lenient,
            is_sentence=self.is_sentence,
            timing=self.timing,
        )

    def _spans(self) -> Iterator[GrammarSpan]:
        start = 0
        for stretch in self.stretches:
            end = start + len(stretch.token_ids)
            if stretch.grammar is not None:
                drawn = min(stretch.masked, len(stretch.token_ids) - stretch.closed)
                yield GrammarSpan(start=start, end=start + drawn, grammar=stretch.grammar)
            start = end


def _marks(stretch: Stretch) -> list[int]:
    """1 for each token that the model drew, and 0 for the others."""
    drawn = len(stretch.token_ids) - stretch.closed if stretch.by_model else 0
    return [1] * drawn + [0] * (len(stretch.token_ids) - drawn)
