"""Between the tokens of a completion and text: ids for what the environment says, text for stretches of ids.

Needs a tokenizer with a backend of the library ``tokenizers``, as almost all models have. Not covered: what the
tokenizer itself loses (see ``encode_text``).
"""

import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from envs.errors import ConfigurationError
from envs.layout import Tags

# Written before a text to find out what the text becomes in the middle of one; the first that keeps to itself is taken.
SENTINELS = ("\n", "\0", "|", ".")


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The ids of a text that is appended to a completion, as it stands and nothing else.

    No special token comes out: neither at the ends, nor where hostile text spells one (``<|im_end|>`` in a database
    cell is encoded letter by letter). No added token is looked for either, special or not: transformers'
    ``split_special_tokens`` would still find those that are not special, ``<think>`` or ``<tool_call>`` for example.
    No space is put before the text by tokenizers that begin every text with one (those of Llama 2, Mistral and T5).

    Decoded after other ids, the result is the text again, unless these end within a character, or the tokenizer cannot
    write the text. The known losses: a tokenizer without a token for some byte drops it (SmolLM2 lacks those of U+0004,
    U+0006, U+0013, U+0014, U+0016, U+001D and of the characters U+40000 to U+BFFFF), SentencePiece models read U+2581
    as a space, and normalising tokenizers change what they normalise. Lone surrogates, which are not text, become "?".

    Touches no state of the tokenizer, so that threads can share it.

    Raises:
        ConfigurationError: the tokenizer has no fast backend.
    """
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    backend = _backend(tokenizer)
    special = _special_tokens(tokenizer)
    if text and _puts_something_before(backend):
        for sentinel in SENTINELS:
            head = _plain_ids(backend, sentinel, special)
            ids = _plain_ids(backend, sentinel + text, special)
            # No token crosses the end of the sentinel, so no merge did: the rest is what the text alone becomes.
            if head and ids[: len(head)] == head:
                return ids[len(head) :]
    return _plain_ids(backend, text, special)


def segment_texts(tokenizer: PreTrainedTokenizerBase, segments: Sequence[Sequence[int]]) -> list[str]:
    """The text of each stretch of a completion, special tokens left out; joined they are the decoded whole.

    A character whose bytes lie in several stretches belongs to the one that completes it. Never raises because of what
    the ids spell. Decodes the beginning of the completion once for each stretch.

    Args:
        tokenizer: the model's.
        segments: the ids of a completion, cut into stretches; one may be empty.
    """
    ids = [token for segment in segments for token in segment]
    whole = _decode(tokenizer, ids)
    cuts = [0]
    length = 0
    for segment in segments[:-1]:
        length += len(segment)
        # Bytes that make no character can be shown otherwise once more of them follow: a cut never moves back.
        cuts.append(max(cuts[-1], _settled(tokenizer, ids[:length], whole)))
    return [whole[start:end] for start, end in pairwise([*cuts, len(whole)])] if segments else []


def token_of_character(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], character: int) -> int:
    """The number of leading ids whose text has the first ``character`` characters of the decoded whole.

    The least such number, unless the ids before it spell broken UTF-8. Never falls as ``character`` grows. Decodes
    log2(len(ids)) beginnings.

    Args:
        tokenizer: the model's.
        ids: a completion.
        character: a number of characters of its text, special tokens left out.

    Raises:
        ValueError: the text has fewer characters, or ``character`` is negative.
    """
    ids = list(ids)
    whole = _decode(tokenizer, ids)
    if not 0 <= character <= len(whole):
        raise ValueError(f"character {character} lies outside of a text of {len(whole)} characters")
    return bisect_left(range(len(ids)), character, key=lambda length: _settled(tokenizer, ids[:length], whole))


def special_spelling(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Matches the special tokens of a tokenizer where a text spells them, those of one character left out."""
    names = sorted({name for name in _special_tokens(tokenizer).values() if len(name) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")


def require_plain_tags(tokenizer: PreTrainedTokenizerBase, tags: Tags | None) -> None:
    """Checks that the tags of an environment can be read in what a model wrote; special tokens are left out of that.

    Tags that are added tokens, but not special ones, are fine.

    Args:
        tags: the environment's; None where it has none.

    Raises:
        ConfigurationError: a tag is a special token of the tokenizer, holds one or is part of one.
    """
    special = sorted(set(_special_tokens(tokenizer).values()))
    for name in () if tags is None else tags.names():
        for tag in (f"<{name}>", f"</{name}>"):
            found = next((token for token in special if token and (token in tag or tag in token)), None)
            if found is not None:
                raise ConfigurationError(
                    f"tags: '{tag}' cannot be read, for '{found}' is a special token of the model's tokenizer, and"
                    " those are no text; give the tag another name, or add the token without 'special'"
                )


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    # The clean-up that some tokenizers ask for would take the space out of " ," also inside a string.
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _settled(tokenizer: PreTrainedTokenizerBase, beginning: Sequence[int], whole: str) -> int:
    """How many characters of the whole its beginning shows: an incomplete one at the end is not yet there."""
    text = _decode(tokenizer, beginning)
    return len(text) if whole.startswith(text) else len(os.path.commonprefix([text, whole]))


def _backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConfigurationError(
            f"the tokenizer {type(tokenizer).__name__} has no fast backend, which text of the environment needs; "
            "take a model that has a tokenizer.json"
        )
    return backend


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """What the special tokens are called, by id."""
    added = tokenizer.added_tokens_decoder
    return {token: content.content for token, content in added.items() if content.special} | dict(
        zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    )


def _splits(backend: Any, text: str) -> list[str]:
    """The text as the tokenizer's model gets it, without a search for added tokens."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    if backend.pre_tokenizer is None:
        return [text]
    return [split for split, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def _puts_something_before(backend: Any) -> bool:
    return len("".join(_splits(backend, "a"))) > 1


def _plain_ids(backend: Any, text: str, special: dict[int, str]) -> list[int]:
    return [token for split in _splits(backend, text) for token in _model_ids(backend.model, split, special)]


def _model_ids(model: Any, text: str, special: dict[int, str]) -> Iterator[int]:
    """The ids of one split, none of them special.

    A model can spell a special token by itself, for it is in its vocabulary: T5's ``</s>`` is the most probable piece
    for these four characters. It is cut after its first character, and the parts are encoded anew. One that stands for
    other text (unknown characters, in a model without bytes) is left out.
    """
    tokens = model.tokenize(text)
    encoded = text.encode("utf-8")
    cuts = []
    for token in tokens:
        start, end = token.offsets  # in bytes
        name = special.get(token.id, "")
        if len(name) > 1:
            # Neighbours that are unknown come as one token, those that spell its name among them.
            found = re.finditer(re.escape(name.encode("utf-8")), encoded[start:end])
            cuts += [start + match.start() + len(name[0].encode("utf-8")) for match in found]
    if not cuts:
        yield from (token.id for token in tokens if token.id not in special)
        return
    for start, end in pairwise([0, *cuts, len(encoded)]):
        yield from _model_ids(model, encoded[start:end].decode("utf-8"), special)
