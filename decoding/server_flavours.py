"""What inference servers call things: one small adapter a kind, all in ``FLAVOURS``.

Token ids go in and come out of every one of them: text is never encoded again. Servers that return text alone cannot be
used. Not covered: chat endpoints, which put the server's own template around a prompt.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, Protocol, TypeGuard

from transformers import PreTrainedTokenizerBase

from decoding.engine import FinishReason, Request
from decoding.server_grammars import gbnf_grammar, response_format_grammar
from decoding.server_turn import Written
from decoding.vllm_grammar import AppliedGrammar, guidance_grammar
from envs.errors import ConfigurationError
from envs.grammar import Grammar

NOT_TOLD = math.nan
"""The log-probability of a token that the server does not tell."""


class Flavour(Protocol):
    """How one kind of server is spoken to. Without state."""

    path: str
    """Where completions are asked for."""
    untold: str | None
    """Why the log-probabilities of all tokens cannot be had; None: they can."""
    grammar_hint: str
    """What to look at where requests fail with a grammar."""
    temperatures: tuple[float, float]
    """The lowest and the highest besides 0."""

    def apply(
        self, grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, most: int | None
    ) -> AppliedGrammar:
        """What of a request's grammar the server can be asked to mask by; ``most`` as of ``guidance_grammar``."""
        ...

    def body(self, request: Request, *, model: str, seed: int, end_ids: Collection[int]) -> dict[str, Any]:
        """The request for one sample, without its grammar."""
        ...

    def fields(self, applied: AppliedGrammar) -> dict[str, Any]:
        """What is added for a grammar."""
        ...

    def read(self, answer: Mapping[str, Any]) -> Written:
        """What the server has written.

        Raises:
            ConfigurationError: it does not return token ids.
        """
        ...

    def spelling(self, token_ids: list[int], *, model: str) -> tuple[str, dict[str, Any], str] | None:
        """How the server is asked for the text of tokens: path, body, and the field of the answer; None: not at all."""
        ...


class VllmServer:
    """``vllm serve``. Masks are ours, log-probabilities those of the masked distribution."""

    path = "/v1/completions"
    untold: str | None = None
    grammar_hint = """serve with --structured-outputs-config '{"backend": "guidance"}'"""
    temperatures = (0.01, 2.0)

    def apply(
        self, grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, most: int | None
    ) -> AppliedGrammar:
        """The Lark text of our own masks."""
        return guidance_grammar(grammar, tokenizer, end_ids, most=most)

    def body(self, request: Request, *, model: str, seed: int, end_ids: Collection[int]) -> dict[str, Any]:
        """Everything that a server could have other defaults for is said."""
        return {
            **_completion(request, model=model, seed=seed),
            "logprobs": 1,
            "stop_token_ids": sorted(end_ids),
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "return_token_ids": True,
        }

    def fields(self, applied: AppliedGrammar) -> dict[str, Any]:
        """vLLM's structured outputs."""
        return {"structured_outputs": {"grammar": applied.text}}

    def read(self, answer: Mapping[str, Any]) -> Written:
        """A completion of OpenAI's form."""
        return _read_completion(
            answer, hint="this vLLM is too old to know `return_token_ids`: serve with 0.11 or newer"
        )

    def spelling(self, token_ids: list[int], *, model: str) -> tuple[str, dict[str, Any], str] | None:
        """vLLM's own endpoint."""
        return "/detokenize", {"model": model, "tokens": token_ids}, "prompt"


class LlamaServer:
    """llama.cpp's ``llama-server``, by its own endpoint: OpenAI's has no token ids there."""

    path = "/completion"
    untold: str | None = (
        "llama.cpp's server tells no probabilities under a grammar, and none for parts of characters and for the "
        "tokens of a stop string"
    )
    grammar_hint = "look at the server's own output"
    temperatures = (1e-6, math.inf)

    def apply(
        self, grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, most: int | None
    ) -> AppliedGrammar:
        """JSON Schema, and what is easily said in GBNF."""
        return gbnf_grammar(grammar, tokenizer, end_ids)

    def body(self, request: Request, *, model: str, seed: int, end_ids: Collection[int]) -> dict[str, Any]:
        """Only the temperature changes the model's distribution."""
        return {
            "prompt": list(request.prompt_ids),
            "n_predict": request.max_new_tokens,
            "temperature": request.temperature,
            "samplers": ["temperature"],
            # The largest number of 32 bits asks for a random seed.
            "seed": seed % (2**32 - 1),
            "stop": list(request.stops),
            "n_probs": 1,
            # Before sampling they are those of temperature 1, which greedy decoding reports too.
            "post_sampling_probs": request.temperature not in (0, 1),
            "return_tokens": True,
        }

    def fields(self, applied: AppliedGrammar) -> dict[str, Any]:
        """The schema as it is, or the grammar."""
        if applied.masks is not None and applied.masks.kind == "json_schema":
            return {"json_schema": json.loads(applied.text)}
        return {"grammar": applied.text}

    def read(self, answer: Mapping[str, Any]) -> Written:
        """An answer of ``/completion``."""
        ids = answer.get("tokens")
        if not _is_ids(ids):
            raise ConfigurationError(
                "the server returns no token ids (`return_tokens`): serve with llama.cpp's own llama-server, not with "
                "a wrapper that returns text alone"
            )
        finishes: dict[Any, FinishReason] = {"eos": "eos", "word": "stop"}
        return Written(
            token_ids=tuple(ids),
            logprobs=_aligned(ids, answer),
            finish=finishes.get(answer.get("stop_type"), "length"),
            seconds=_seconds(answer),
        )

    def spelling(self, token_ids: list[int], *, model: str) -> tuple[str, dict[str, Any], str] | None:
        """llama.cpp's own endpoint."""
        return "/detokenize", {"tokens": token_ids}, "content"


class OpenAIServer:
    """Any other server with OpenAI's completions that can return token ids, as vLLM and SGLang do."""

    path = "/v1/completions"
    untold: str | None = None
    grammar_hint = "look at the server's own output"
    temperatures = (0.01, 2.0)

    def apply(
        self, grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, most: int | None
    ) -> AppliedGrammar:
        """JSON Schema alone."""
        return response_format_grammar(grammar, tokenizer, end_ids)

    def body(self, request: Request, *, model: str, seed: int, end_ids: Collection[int]) -> dict[str, Any]:
        """What OpenAI's API has, and the two ways in which servers are asked for ids."""
        return {
            **_completion(request, model=model, seed=seed),
            "logprobs": 1,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }

    def fields(self, applied: AppliedGrammar) -> dict[str, Any]:
        """OpenAI's response format."""
        schema = {"name": "answer", "schema": json.loads(applied.text), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def read(self, answer: Mapping[str, Any]) -> Written:
        """A completion of OpenAI's form."""
        hint = "it knows neither `return_token_ids` nor `return_tokens_as_token_ids`; use vLLM's server or llama.cpp's"
        return _read_completion(answer, hint=hint)

    def spelling(self, token_ids: list[int], *, model: str) -> tuple[str, dict[str, Any], str] | None:
        """OpenAI's API has none."""
        return None


FLAVOURS: dict[str, Flavour] = {"vllm": VllmServer(), "llama.cpp": LlamaServer(), "openai": OpenAIServer()}


def _completion(request: Request, *, model: str, seed: int) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": list(request.prompt_ids),
        "max_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "top_p": 1.0,
        "n": 1,
        "seed": seed,
        "stop": list(request.stops),
    }


def _read_completion(answer: Mapping[str, Any], *, hint: str) -> Written:
    choice = answer["choices"][0]
    told = choice.get("logprobs") or {}
    ids = choice.get("token_ids")
    if ids is None:
        ids = [_token_id(token) for token in told.get("tokens") or [None]]
    if not _is_ids(ids):
        raise ConfigurationError(f"the server returns text without token ids, and text is not encoded again: {hint}")
    logprobs = told.get("token_logprobs") or []
    if len(logprobs) != len(ids):
        logprobs = [NOT_TOLD] * len(ids)
    finish: FinishReason = "length"
    if choice.get("finish_reason") == "stop":
        finish = "stop" if isinstance(choice.get("stop_reason"), str) else "eos"
    error = None
    if choice.get("finish_reason") not in ("stop", "length"):
        error = f"the server gave up after {len(ids)} tokens: finish_reason is {choice.get('finish_reason')!r}"
    told_or_not = tuple(NOT_TOLD if logprob is None else float(logprob) for logprob in logprobs)
    return Written(token_ids=tuple(ids), logprobs=told_or_not, finish=finish, error=error)


def _token_id(token: Any) -> int | None:
    """The number in ``token_id:17``."""
    name, _, number = str(token).partition(":")
    return int(number) if name == "token_id" and number.isdecimal() else None


def _is_ids(ids: Any) -> TypeGuard[list[int]]:
    return isinstance(ids, list) and len(ids) > 0 and all(isinstance(token, int) for token in ids)


def _seconds(answer: Mapping[str, Any]) -> tuple[float, float] | None:
    """When llama.cpp had the first and the last token, without the time in its queue: ``predicted_ms`` begins with the
    first one."""
    timings = answer.get("timings") or {}
    prompt, predicted = timings.get("prompt_ms"), timings.get("predicted_ms")
    if not isinstance(prompt, int | float) or not isinstance(predicted, int | float):
        return None
    return prompt / 1000, (prompt + predicted) / 1000


def _aligned(ids: list[int], answer: Mapping[str, Any]) -> tuple[float, ...]:
    """The log-probability of each token; llama.cpp leaves some tokens out."""
    settings = answer.get("generation_settings") or {}
    if settings.get("grammar"):
        return (NOT_TOLD,) * len(ids)
    entries = iter(answer.get("completion_probabilities") or ())
    entry = next(entries, None)
    logprobs = []
    for token in ids:
        if entry is None or entry["id"] != token:
            logprobs.append(NOT_TOLD)
            continue
        logprobs.append(entry["logprob"] if "logprob" in entry else math.log(entry["prob"] or math.nan))
        entry = next(entries, None)
    return tuple(logprobs)
