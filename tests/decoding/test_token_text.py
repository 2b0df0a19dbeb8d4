"""Text of the environment as ids, and ids as text, with tokenizers of real models."""

import copy
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_model import build_tiny_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from decoding.token_text import encode_text, require_plain_tags, segment_texts, token_of_character
from envs.errors import ConfigurationError
from envs.layout import Tags

FRAGMENTS = [
    *(
        "<result>",
        "</result>\n",
        "\n\n",
        "  ",
        " ",
        "\t",
        "\r\n",
        "▁",
        "'s",
        "\0",
        "\x04",
        "é",
        "e\u0301",
        "日本",
        "🙂",
        "👩‍👩‍👧",
    ),
    *("<|im_end|>", "<|im_start|>system\n", "<|endoftext|>", "<s>", "</s>", "<unk>", "<0x0A>", "[INST]", "[/INST]"),
    *("[REFERENCE_DOC_19]", "[TOOL_CALLS]", "name | age", "Ada", "36", "\ufffd", "\ud800", "\U00040000"),
]
bounded = settings(max_examples=30, deadline=None)
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), max_size=8).map("".join)


@pytest.fixture(scope="module")
def byte_tokens(real_tokenizer: Any) -> list[int]:
    """The tokens of the bytes that "é€🙂A" is made of."""
    if is_byte_level(real_tokenizer):
        names = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("é€🙂A")[0][0]
    else:
        names = [f"<0x{byte:02X}>" for byte in "é€🙂A".encode()]
    vocabulary = real_tokenizer.get_vocab()
    return [vocabulary[name] for name in names]


def whole_text(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def is_byte_level(tokenizer: Any) -> bool:
    return len(tokenizer.added_tokens_decoder) == 17


def as_written(tokenizer: Any, text: str) -> str:
    """What the tokenizer can write of a text: the losses that the documentation of ``encode_text`` names."""
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    if not is_byte_level(tokenizer):
        return text.replace("▁", " ")
    return "".join(letter for letter in text if letter not in "\x04\x06\x13\x14\x16\x1d")


def cut(ids: Sequence[int], borders: Sequence[int]) -> list[Sequence[int]]:
    ends = sorted(border % (len(ids) + 1) for border in borders)
    return [ids[start:end] for start, end in pairwise([0, *ends, len(ids)])]


def random_ids(data: st.DataObject, tokenizer: Any, byte_tokens: list[int]) -> list[int]:
    special = sorted(set(tokenizer.all_special_ids))
    pieces = st.lists(
        st.lists(st.integers(0, len(tokenizer) - 1) | st.sampled_from(special), max_size=4)
        | st.lists(st.sampled_from(byte_tokens), max_size=8)
        | texts.map(lambda text: encode_text(tokenizer, text)),
        max_size=4,
    )
    return [token for piece in data.draw(pieces) for token in piece]


@given(before=texts, text=texts)
@bounded
def test_text_comes_back_in_the_middle_of_a_completion(real_tokenizer: Any, before: str, text: str) -> None:
    assume(
        not is_byte_level(real_tokenizer) or not any("\U00040000" <= letter < "\U000c0000" for letter in before + text)
    )
    ids = encode_text(real_tokenizer, "SELECT" + before)
    assert whole_text(real_tokenizer, ids + encode_text(real_tokenizer, text)) == as_written(
        real_tokenizer, "SELECT" + before + text
    )


@given(text=texts)
@bounded
def test_no_added_token_comes_out_of_text(real_tokenizer: Any, text: str) -> None:
    assert not set(encode_text(real_tokenizer, text)) & set(real_tokenizer.added_tokens_decoder)


@pytest.mark.parametrize("around", ["", " ", "\n", "x", "<"])
def test_no_added_token_can_be_spelled(real_tokenizer: Any, around: str) -> None:
    added = real_tokenizer.added_tokens_decoder
    for token in [*added.values()][:: 1 if len(added) < 100 else 31]:
        ids = encode_text(real_tokenizer, around + token.content + around)
        assert not set(ids) & set(added)
        assert (
            whole_text(real_tokenizer, encode_text(real_tokenizer, "x") + ids) == "x" + around + token.content + around
        )


def test_an_added_token_that_is_not_special_cannot_be_spelled_either(real_tokenizer: Any) -> None:
    tokenizer = copy.deepcopy(real_tokenizer)
    assert tokenizer.add_tokens(["<tool_call>"]) == 1
    added = tokenizer.convert_tokens_to_ids("<tool_call>")
    assert added in tokenizer.encode("x<tool_call>", split_special_tokens=True)
    assert added not in encode_text(tokenizer, "<tool_call>")


def test_ordinary_text_is_encoded_as_the_tokenizer_does_it(real_tokenizer: Any) -> None:
    text = "x SELECT name FROM singer WHERE age > 20;\n\n  -- it's 1999\n"
    own = real_tokenizer.encode(text, add_special_tokens=False)
    assert encode_text(real_tokenizer, text) == own if is_byte_level(real_tokenizer) else own[1:]
    assert encode_text(real_tokenizer, "") == []


@pytest.mark.parametrize(("text", "kept"), [("a\ud800b", "a?b"), ("a\U00040000b", None)])
def test_what_cannot_be_written_raises_nothing(real_tokenizer: Any, text: str, kept: str | None) -> None:
    written = whole_text(real_tokenizer, encode_text(real_tokenizer, "x" + text))
    assert written == f"x{kept}" if kept else written[:2] + written[-1] == "xab"


@given(data=st.data(), borders=st.lists(st.integers(0, 10_000), max_size=6))
@bounded
def test_stretches_join_to_the_decoded_whole(
    real_tokenizer: Any, byte_tokens: list[int], data: st.DataObject, borders: list[int]
) -> None:
    ids = random_ids(data, real_tokenizer, byte_tokens)
    for segments in (cut(ids, borders), [[token] for token in ids]):
        stretches = segment_texts(real_tokenizer, segments)
        assert len(stretches) == len(segments) and "".join(stretches) == whole_text(real_tokenizer, ids)


@given(parts=st.lists(texts, min_size=1, max_size=5))
@bounded
def test_stretches_of_whole_texts_are_these_texts(real_tokenizer: Any, parts: list[str]) -> None:
    assume(not any("\U00040000" <= letter < "\U000c0000" for part in parts for letter in part))
    parts = ["x" + parts[0], *parts[1:]]
    segments = [encode_text(real_tokenizer, part) for part in parts]
    assert segment_texts(real_tokenizer, segments) == [as_written(real_tokenizer, part) for part in parts]


def test_a_character_belongs_to_the_stretch_that_completes_it(real_tokenizer: Any) -> None:
    ids = encode_text(real_tokenizer, "a𐎀b")
    assert len(ids) >= 4
    assert segment_texts(real_tokenizer, [ids[:2], ids[2:]]) == ["a", "𐎀b"]
    assert segment_texts(real_tokenizer, [ids[:-1], [], ids[-1:]]) == ["a𐎀", "", "b"]
    broken = segment_texts(real_tokenizer, [[token] for token in ids[:-2]])
    assert broken[0] == "a" and set("".join(broken[1:])) == {"\ufffd"}


def test_nothing_said_has_no_text(real_tokenizer: Any) -> None:
    assert segment_texts(real_tokenizer, []) == []
    assert segment_texts(real_tokenizer, [[], []]) == ["", ""]


@given(data=st.data())
@bounded
def test_the_token_of_a_character_never_falls(real_tokenizer: Any, byte_tokens: list[int], data: st.DataObject) -> None:
    ids = random_ids(data, real_tokenizer, byte_tokens)
    characters = range(len(whole_text(real_tokenizer, ids)) + 1)
    tokens = [token_of_character(real_tokenizer, ids, character) for character in characters]
    assert tokens == sorted(tokens) and tokens[0] == 0 and tokens[-1] <= len(ids)


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
@bounded
def test_the_token_of_a_character_is_exact_for_ascii(real_tokenizer: Any, text: str) -> None:
    ids = encode_text(real_tokenizer, "x" + text)
    ends = list(accumulate(len(piece) for piece in segment_texts(real_tokenizer, [[token] for token in ids])))
    for character in range(1, len(text) + 2):
        assert token_of_character(real_tokenizer, ids, character) == bisect_left(ends, character) + 1


def test_a_character_outside_of_the_text_is_refused(real_tokenizer: Any) -> None:
    ids = encode_text(real_tokenizer, "abc")
    for character in (-1, 4):
        with pytest.raises(ValueError, match=f"character {character} lies outside of a text of 3 characters"):
            token_of_character(real_tokenizer, ids, character)


def prefixing(normalizer: Any, pre_tokenizer: Any) -> PreTrainedTokenizerFast:
    """A Unigram model whose best pieces are its special tokens, as T5's are; it knows the letters of ASCII only.

    A line break merges with what follows."""
    letters = [(chr(code), -3.0) for code in range(33, 127)]
    words = [("▁a", -1.0), ("▁", -2.0), ("\n", -3.0), ("\nab", -0.5), ("\0", -3.0), ("ab", -1.5)]
    model = models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("<pad>", 0.0), *words, *letters], unk_id=0)
    backend = Tokenizer(model)
    if normalizer is not None:
        backend.normalizer = normalizer
    if pre_tokenizer is not None:
        backend.pre_tokenizer = pre_tokenizer
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=True,
    )


PREFIXING = {
    "every word": prefixing(None, pre_tokenizers.Metaspace(prepend_scheme="always")),
    "every text": prefixing(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
    "normalizer": prefixing(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None),
}


@pytest.mark.parametrize("kind", PREFIXING)
@given(
    text=st.lists(st.sampled_from(["</s>", "<pad>", "<unk>", "a", "ab", " ", "\n", "</", "s>", "x ,", "é"])).map(
        "".join
    )
)
@bounded
def test_pieces_that_spell_a_special_token_are_cut_and_no_space_is_put_before(kind: str, text: str) -> None:
    tokenizer = PREFIXING[kind]
    ids = encode_text(tokenizer, text)
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert segment_texts(tokenizer, [encode_text(tokenizer, "x"), ids]) == ["x", text.replace("é", "")]


@pytest.mark.parametrize("kind", PREFIXING)
def test_much_unknown_text_is_left_out(kind: str) -> None:
    assert encode_text(PREFIXING[kind], "é" * 5000 + "a</s>") == encode_text(PREFIXING[kind], "a</s>") != []


@pytest.mark.parametrize(
    ("special", "is_refused"),
    [("<final_sql>", True), ("</final_sql>", True), ("</final_sql>\n", True), ("<", True), ("final_sql", True)]
    + [("<final>", False), ("<|im_sep|>", False)],
)
def test_a_tag_that_is_a_special_token_is_refused(special: str, is_refused: bool) -> None:
    tags = Tags(reasoning="think", answer="final_sql")
    tokenizer = build_tiny_tokenizer()
    require_plain_tags(tokenizer, tags)
    tokenizer.add_tokens(["<think>", "</think>"])
    require_plain_tags(tokenizer, tags)
    tokenizer.add_special_tokens({"additional_special_tokens": [special]})
    require_plain_tags(tokenizer, None)
    if is_refused:
        with pytest.raises(ConfigurationError, match="special token"):
            require_plain_tags(tokenizer, tags)
    else:
        require_plain_tags(tokenizer, tags)


def test_a_tokenizer_without_a_fast_backend_is_refused() -> None:
    slow: Any = SimpleNamespace()
    with pytest.raises(ConfigurationError, match=r"SimpleNamespace has no fast backend.*tokenizer\.json"):
        encode_text(slow, "x")
