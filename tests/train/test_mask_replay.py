"""Masks are found again from spans, and a disagreement between sampling and training is an error that says why."""

from dataclasses import replace
from string import ascii_letters, digits
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gradient_check import masks_of, sentences
from benchmarks.letters import letter_tokenizer
from decoding.rollout import GrammarSpan, Rollout
from envs.grammar import Grammar
from envs.transcript import Transcript
from envs.verdict import Verdict
from train import mask_replay
from train.mask_replay import FORCED, FREE, MaskReplay, Spans

TOKENIZER = letter_tokenizer("abcde")
END = TOKENIZER.eos_token_id
GRAMMARS = [Grammar(kind="regex", source=source) for source in ("(b|c)(a|de)?", "a*e", "abc")]
LANGUAGES = {grammar: sentences(grammar, TOKENIZER, 5) for grammar in GRAMMARS}


def replay() -> MaskReplay:
    return MaskReplay(TOKENIZER, [END])


def spans(length: int, grammar: Grammar, start: int = 0) -> Spans:
    return (GrammarSpan(start=start, end=start + length, grammar=grammar),)


@st.composite
def masked_rows(draw: st.DrawFn) -> tuple[torch.Tensor, list[Spans]]:
    """Rows of two turns with an observation between them, some of them free."""
    ids, of_rows = torch.zeros(draw(st.integers(1, 5)), 12, dtype=torch.long), []
    for row in ids:
        own: list[GrammarSpan] = []
        place = 0
        for turn in range(draw(st.integers(0, 2))):
            place += turn  # an observation of one token
            grammar = draw(st.sampled_from(GRAMMARS))
            text = draw(st.sampled_from(LANGUAGES[grammar]))
            row[place : place + len(text)] = torch.tensor(text)
            own += spans(len(text), grammar, place)
            place += len(text)
        of_rows.append(tuple(own))
    return ids, of_rows


@settings(max_examples=60, deadline=None)
@given(masked_rows())
def test_the_masks_are_those_of_the_matchers(rows: tuple[torch.Tensor, list[Spans]]) -> None:
    ids, of_rows = rows
    masks = replay().masks(ids, of_rows)
    expected: dict[tuple[int, int], torch.Tensor] = {}
    for row, own in enumerate(of_rows):
        for span in own:
            text = tuple(ids[row, span.start : span.end].tolist())
            for place, mask in enumerate(masks_of(span.grammar, TOKENIZER, text, len(TOKENIZER))):
                expected[row, span.start + place] = mask
    for (row, place), number in np.ndenumerate(masks.numbers):
        mask = expected.get((row, place))
        if mask is None:
            assert number == FREE
        elif mask.sum() == 1:
            assert number == FORCED
        else:
            words = masks.words[number]
            assert [bool(int(words[v >> 5]) >> (v & 31) & 1) for v in range(len(TOKENIZER))] == mask.tolist()
    # Equal masks are kept once.
    assert len({bytes(words.numpy()) for words in masks.words}) == len(masks.words)


@pytest.mark.parametrize("last", [31, 63])
def test_choices_among_the_last_tokens_of_a_word_are_choices(last: int) -> None:
    """The last bit of a word is its sign."""
    tokenizer = letter_tokenizer(ascii_letters + digits)
    for first in range(last - 29, last + 1):
        letters = "".join(tokenizer.convert_ids_to_tokens(list(range(first, last + 1))))
        grammar = Grammar(kind="regex", source=f"[{letters}]")
        ids = torch.tensor([[last, tokenizer.eos_token_id]])
        masks = MaskReplay(tokenizer, [tokenizer.eos_token_id]).masks(ids, [spans(2, grammar)])
        if first == last:
            assert masks.numbers.tolist() == [[FORCED, FORCED]]
            continue
        assert masks.numbers.tolist() == [[0, FORCED]]
        bits = np.unpackbits(masks.words.numpy().view(np.uint8), bitorder="little")
        assert np.flatnonzero(bits).tolist() == list(range(first, last + 1))


def test_rows_that_begin_alike_are_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Counting:
        def __init__(self, matcher: Any) -> None:
            self._matcher = matcher

        def mask(self) -> Any:
            asked.append(1)
            return self._matcher.mask()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._matcher, name)

    one = replay()
    own = one._matcher
    monkeypatch.setattr(one, "_matcher", lambda grammar: Counting(own(grammar)))
    text = LANGUAGES[GRAMMARS[0]][0]
    ids = torch.tensor([text] * 7)
    one.masks(ids, [spans(len(text), GRAMMARS[0])] * 7)
    assert len(asked) == len(text)


def test_ahead_on_another_thread_the_masks_are_the_same() -> None:
    ids = torch.tensor([LANGUAGES[GRAMMARS[1]][0]])
    of_rows = [spans(ids.shape[1], GRAMMARS[1])]
    one = replay()
    one.prefetch(ids, of_rows)
    taken, expected = one.masks(ids, of_rows), replay().masks(ids, of_rows)
    assert np.array_equal(taken.numbers, expected.numbers) and torch.equal(taken.words, expected.words)


@pytest.mark.parametrize("is_ahead", [False, True])
def test_what_a_grammar_does_not_allow_is_an_error_that_names_the_token(is_ahead: bool) -> None:
    one = replay()
    ids = torch.tensor([TOKENIZER("abd").input_ids])
    of_rows = [spans(3, GRAMMARS[2])]
    if is_ahead:
        one.prefetch(ids, of_rows)
    token = TOKENIZER("d").input_ids[0]
    with pytest.raises(RuntimeError, match=f"disagree about a grammar: token {token} at place 2 .*does not allow it"):
        one.masks(ids, of_rows)


def rollout(text: str, own: Spans, error: str | None) -> Rollout:
    ids = TOKENIZER(text).input_ids
    return Rollout(
        prompt_ids=(2,), completion_ids=ids, logprobs=[0.0] * len(ids), env_mask=[1] * len(ids), log_z=None,
        grammars=own, finish="length", transcript=Transcript.of(text), verdict=Verdict(), grammar_error=error,
    )  # fmt: skip


def test_after_a_limit_of_its_matcher_a_rollout_was_free() -> None:
    own = spans(4, GRAMMARS[2])
    assert replay().readable(rollout("abde", own, "a limit")) == (replace(own[0], end=2),)
    assert replay().readable(rollout("dbde", own, "a limit")) == ()
    # Without an error of its own there is nothing to forgive.
    assert replay().readable(rollout("abde", own, None)) == own


def test_a_grammar_that_cannot_be_compiled_again_is_an_error() -> None:
    broken = Grammar(kind="lark", source="start: (")
    with pytest.raises(RuntimeError, match="cannot be compiled again"):
        replay().masks(torch.tensor([[2]]), [spans(1, broken)])
    assert mask_replay.FREE < 0 and mask_replay.FORCED < 0  # no number of a mask
