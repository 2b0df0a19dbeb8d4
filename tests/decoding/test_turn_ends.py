"""The end of a turn: stop strings are found where they are completed, in any tokenizer, and in their own turn only."""

import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from decoding.engine import Request
from decoding.row import Row
from decoding.turn_ends import TurnEnds

BYTE_LEVEL = {character: index for index, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def byte_level() -> PreTrainedTokenizerBase:
    """As those of GPT-2, Llama 3 and Qwen: any token may end within a character."""
    vocabulary = dict(BYTE_LEVEL)
    for piece in ("</", "sql", "sql>", "q>", "><", "Ġ<", "</sql>", ">Ġ", "é", "ðŁ"):
        vocabulary.setdefault(piece, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def sentence_piece() -> PreTrainedTokenizerBase:
    """As those of Llama 2 and Mistral: a space is part of a word, and the first one of a text is dropped."""
    vocabulary = {"<unk>": 0, **{f"<0x{byte:02X}>": byte + 1 for byte in range(256)}}
    for piece in (
        "▁",
        "▁<",
        "</",
        "sql",
        "sql>",
        "q>",
        "><",
        "▁</sql>",
        "é",
        "。",
        "▁▁",
        "▁a",
        "l",
        ">",
        "<",
        "/",
        "s",
    ):
        vocabulary[piece] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


TOKENIZERS = {"byte-level": byte_level(), "sentence piece": sentence_piece()}
STOPS = ("</sql>", " <", "é", "。", "😀>", "\n", "> ", "a" * 3, "  ")


@cache
def token_bytes(tokenizer: PreTrainedTokenizerBase, token: int) -> bytes:
    piece = tokenizer.convert_ids_to_tokens(token)
    if tokenizer is TOKENIZERS["byte-level"]:
        return decoded_bytes(piece)
    if len(piece) == 6 and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("▁", " ").encode()


@cache
def decoded_bytes(piece: str) -> bytes:
    """By GPT-2's table: printable bytes stand for themselves, the others for characters from 256 on, in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = {chr(256 + index): byte for index, byte in enumerate(b for b in range(256) if b not in printable)}
    return bytes(others.get(character, ord(character)) for character in piece)


def first_end(tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], turn: Sequence[int]) -> int | None:
    """By bytes: the number of tokens after which the turn holds a stop."""
    text = b""
    for count, token in enumerate(turn, start=1):
        text += token_bytes(tokenizer, token)
        if any(stop.encode() in text for stop in stops):
            return count
    return None


def ends(tokenizer: Any, stops: tuple[str, ...], before: list[list[int]], turn: list[int]) -> int | None:
    """By ``TurnEnds``, in a row that has said ``before``."""
    watch = TurnEnds(tokenizer, ())
    row = Row(Request(prompt_ids=before[0], max_new_tokens=100, stops=stops), number=0, stream="0")
    for segment in before[1:]:
        row.finish = "length"
        row.end_turn()
        row.extend(segment, max_new_tokens=100)
    for count, token in enumerate(turn, start=1):
        row.append(token, logprob=0.0, log_z=0.0)
        finish = watch.finish(row)
        if finish is not None:
            assert finish == "stop"
            return count
    return None


PIECES = [*STOPS, *(stop[:cut] for stop in STOPS for cut in range(1, len(stop))), *"ax <>é。😀\n"]


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), min_size=1, max_size=4),
    stops=st.lists(st.sampled_from(STOPS), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 2**32),
)
def test_a_turn_ends_with_the_token_that_completes_a_stop(
    kind: str, texts: list[str], stops: list[str], seed: int
) -> None:
    tokenizer, draw = TOKENIZERS[kind], random.Random(seed)
    spelling = [(token_bytes(tokenizer, token), token) for token in range(1, len(tokenizer))]
    ids = []
    rest = "".join(texts).encode()
    while rest:
        # Any spelling, not just that of the tokenizer.
        piece, token = draw.choice([(piece, token) for piece, token in spelling if rest.startswith(piece)])
        ids.append(token)
        rest = rest[len(piece) :]
    # Turns may end anywhere, also within a character.
    cuts = sorted(draw.randrange(len(ids) + 1) for _ in range(draw.randrange(3)))
    segments = [ids[start:end] for start, end in pairwise([0, *cuts, len(ids)])]
    prompt = next(token for piece, token in spelling if piece == b"x")
    before = [[prompt, *segments[0]], *segments[1:-1]] if len(segments) > 1 else [[prompt]]
    turn = segments[-1]
    assert ends(tokenizer, tuple(stops), before, turn) == first_end(tokenizer, stops, turn)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_spelled_byte_by_byte_is_found_in_a_long_turn(kind: str, stop: str) -> None:
    tokenizer = TOKENIZERS[kind]
    spelled = {token_bytes(tokenizer, token): token for token in range(1, len(tokenizer))}
    single = [spelled[bytes([byte])] for byte in stop.encode()]
    filler = [spelled[b"s"]] * 50
    assert ends(tokenizer, (stop,), [filler], [*filler, *single, *filler]) == 50 + len(single)
    # Begun before the turn, it does not count.
    for split in range(1, len(single)):
        assert ends(tokenizer, (stop,), [[*filler, *single[:split]]], [*single[split:], *filler]) is None


def test_tokens_that_cannot_complete_a_stop_are_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = byte_level()
    calls = []
    decode = tokenizer.decode
    monkeypatch.setattr(tokenizer, "decode", lambda ids, **options: calls.append(ids) or decode(ids, **options))
    letters = tokenizer.convert_tokens_to_ids(["a", "b", "c"])
    assert ends(tokenizer, ("</sql>",), [letters], letters * 30) is None
    assert len(calls) == len(letters)


def test_the_end_of_text_comes_before_the_stop_and_the_stop_before_the_budget() -> None:
    tokenizer = byte_level()
    token = tokenizer.convert_tokens_to_ids(">")
    for end_ids, stops, expected in (((token,), (">",), "eos"), ((), (">",), "stop"), ((), ("<",), "length")):
        row = Row(Request(prompt_ids=[5], max_new_tokens=1, stops=stops), number=0, stream="0")
        row.append(token, logprob=0.0, log_z=0.0)
        assert TurnEnds(tokenizer, end_ids).finish(row) == expected


def test_a_fork_pauses_and_stops_where_its_row_does() -> None:
    tokenizer = byte_level()
    watch = TurnEnds(tokenizer, ())
    letters = tokenizer.convert_tokens_to_ids(list("</sql>"))
    row = Row(Request(prompt_ids=letters, max_new_tokens=9, stops=("</sql>",)), number=0, stream="0")
    row.append(letters[0], logprob=0.0, log_z=0.0)
    row.finish = "length"
    row.end_turn()
    # What others have written is no beginning of a stop; what the turn had before it paused is.
    for between, expected in ((letters[1:2], None), ([], "stop")):
        before = row.fork(number=1, seed=0)
        before.extend(between, max_new_tokens=9, pauses=True)
        fork = before.fork(number=2, seed=0)
        assert fork.pauses
        for token in letters[2 if between else 1 :]:
            fork.append(token, logprob=0.0, log_z=0.0)
        assert watch.finish(fork) == expected


def test_tokens_without_text_within_a_stop_do_not_hide_it() -> None:
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    special, unknown = tokenizer.pad_token_id, len(tokenizer) + 5  # models have logits beyond their vocabulary
    letters = tokenizer.convert_tokens_to_ids(list("</sql>"))
    assert tokenizer.decode([*letters[:-1], special, unknown, letters[-1]], skip_special_tokens=True) == "</sql>"
    for count in (1, 40):
        for silent in ([special] * count, [unknown] * count, [special, unknown] * count):
            turn = [letters[2], *letters[:3], *silent, *letters[3:], letters[2]]
            assert ends(tokenizer, ("</sql>",), [letters[:1]], turn) == len(turn) - 1
            # Nor does what they stand between become part of the turn.
            assert ends(tokenizer, ("</sql>",), [[*letters[:3], *silent]], letters[3:]) is None
            assert ends(tokenizer, ("</sql>",), [[*letters[:3], *silent]], [*silent, *letters[3:]]) is None
    # What special tokens are called is no text.
    assert ends(tokenizer, ("|>", "pad"), [letters], [special, *letters]) is None
