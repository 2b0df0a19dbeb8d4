"""An engine over an inference server: vLLM's, llama.cpp's, and others with OpenAI's completions that return token ids.

Every sample is a request of its own, so that it has a seed of its own; the server batches them, and reads a prompt once
where it keeps prefixes. Not covered: loading new weights into a server.
"""

import math
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from decoding.engine import Generation, Request
from decoding.replay_session import ReplaySession
from decoding.server_client import RefusedError, ServerClient, ServerError, TransientError
from decoding.server_flavours import FLAVOURS, Flavour
from decoding.server_turn import TurnReader, Written
from decoding.vllm_engine import require_samplable, sample_seed
from decoding.vllm_grammar import AppliedGrammar, continued_grammar
from envs.errors import ConfigurationError

_COMPARED_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """One sample that is asked for."""

    request: Request
    seed: int
    applied: AppliedGrammar
    grammar_seconds: float = 0.0
    """What it took to make ``applied``."""


class ServerEngine:
    """Samples from a server. A context manager: on leaving it, its connections are given back."""

    def __init__(
        self,
        client: ServerClient,
        tokenizer: PreTrainedTokenizerBase,
        *,
        flavour: str = "vllm",
        model: str | None = None,
        end_ids: Collection[int] = (),
        logprobs_needed: bool = True,
        max_concurrency: int = 64,
    ) -> None:
        """
        Args:
            client: connects to the server.
            tokenizer: the model's; compared with the server's.
            flavour: ``vllm``, ``llama.cpp`` or ``openai``.
            model: its name on the server; None: the only one that is served.
            end_ids: further tokens that end a text, besides the tokenizer's own.
            logprobs_needed: the log-probabilities are used (training, search by likelihood). Without, those that the
                server does not tell are ``nan``.
            max_concurrency: how many samples are asked for at once.

        Raises:
            ConfigurationError: the server cannot be reached, has another tokenizer, serves no such model, returns no
                token ids, or does not tell the log-probabilities that are needed.
        """
        if flavour not in FLAVOURS:
            raise ConfigurationError(
                f"no kind of server is called '{flavour}'; there are {', '.join(sorted(FLAVOURS))}"
            )
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, got {max_concurrency}")
        self._client = client
        self._flavour: Flavour = FLAVOURS[flavour]
        self._tokenizer = tokenizer
        own = tokenizer.eos_token_id
        self._end_ids = frozenset(end_ids) | (frozenset() if own is None else {own})
        self._logprobs_needed = logprobs_needed
        self._max_concurrency = max_concurrency
        self._reader = TurnReader(tokenizer, self._end_ids)
        if logprobs_needed and self._flavour.untold is not None:
            raise ConfigurationError(
                f"{self._flavour.untold}: use vLLM where log-probabilities are needed (training, search by likelihood)"
            )
        try:
            self.model = self._served_model(model)
            self._require_same_tokenizer()
            self._is_raw = self._probe()
        except ServerError as error:
            raise ConfigurationError(str(error)) from error

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request: ``sum(request.n)`` of them.

        Raises:
            ConfigurationError: a request cannot be met by this server.
            ServerError: the server cannot be reached any more, or fails each time.
        """
        samples = [sample for request in requests for sample in self._samples(request)]
        with ThreadPoolExecutor(self._max_concurrency, thread_name_prefix="server request") as pool:
            futures = [pool.submit(self._ask, sample) for sample in samples]
            try:
                answers = [future.result() for future in futures]
            except BaseException:
                # What has not been sent yet need not be.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [self._read(sample, *answer) for sample, answer in zip(samples, answers, strict=True)]

    def session(self) -> ReplaySession:
        """A new session, without rows. What its rows have read before is for the server to keep."""
        return ReplaySession(self.generate)

    def __enter__(self) -> "ServerEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _samples(self, request: Request) -> list[_Sample]:
        require_samplable(request, *self._flavour.temperatures)
        if self._is_raw and request.temperature not in (0, 1) and self._logprobs_needed:
            raise ConfigurationError(
                f"the server returns log-probabilities of temperature 1, and {request.temperature:g} is asked for: "
                "serve with --logprobs-mode processed_logprobs"
            )
        began = time.perf_counter()
        applied = continued_grammar(request) or self._flavour.apply(
            request.grammar, self._tokenizer, self._end_ids, most=None if request.pauses else request.max_new_tokens
        )
        if applied.masks is not None and not applied.is_ours and self._logprobs_needed:
            raise ConfigurationError(
                "this server's masks are not ours, so that training could not replay them: use the flavour 'vllm', or "
                "leave out the grammar"
            )
        seconds = 0.0 if request.grammar is None else time.perf_counter() - began
        return [
            _Sample(request=request, seed=sample_seed(request, number), applied=applied, grammar_seconds=seconds)
            for number in range(request.n)
        ]

    def _ask(self, sample: _Sample) -> tuple[Written, AppliedGrammar]:
        """What the server writes, and what it masked by: freely where it refuses the grammar."""
        flavour, applied = self._flavour, sample.applied
        body = flavour.body(sample.request, model=self.model, seed=sample.seed, end_ids=self._end_ids)
        if applied.masks is not None:
            try:
                answer = self._client.post(flavour.path, {**body, **flavour.fields(applied)})
                return flavour.read(answer), applied
            except RefusedError as error:
                applied = AppliedGrammar(error=str(error))
            except TransientError as error:
                raise ServerError(f"{error} (asked for with a grammar; {flavour.grammar_hint})") from error
        try:
            return flavour.read(self._client.post(flavour.path, body)), applied
        except RefusedError as error:
            raise ConfigurationError(str(error)) from error

    def _read(self, sample: _Sample, written: Written, applied: AppliedGrammar) -> Generation:
        untold = sum(map(math.isnan, written.logprobs))
        if self._logprobs_needed and untold:
            raise ConfigurationError(
                f"the server tells no log-probability of {untold} of {len(written.token_ids)} tokens, and they are "
                "needed: serve with vLLM"
            )
        return self._reader.read(sample.request, written, applied, grammar_seconds=sample.grammar_seconds)

    def _served_model(self, name: str | None) -> str:
        """The name to ask for."""
        content = self._client.get("/v1/models")
        served = [str(entry["id"]) for entry in content.get("data") or () if isinstance(entry, dict) and "id" in entry]
        if name is None and len(served) == 1:
            return served[0]
        if name not in served:
            raise ConfigurationError(
                f"{self._client.url} serves {', '.join(map(repr, served)) or 'no model'}, expected "
                + ("one model; name the one that is meant" if name is None else f"'{name}'")
            )
        return name

    def _require_same_tokenizer(self) -> None:
        """Compares what tokens spell, over the whole vocabulary: ids of another one would give nothing but noise."""
        ids = _plain_tokens(self._tokenizer)
        asked = self._flavour.spelling(ids, model=self.model)
        if asked is None:
            return
        path, body, field = asked
        hint = "the server's tokenizer is not the one given: give the tokenizer of the model that is served"
        try:
            theirs = str(self._client.post(path, body).get(field))
        except RefusedError as error:
            raise ConfigurationError(f"{error}; {hint}") from error
        ours = self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if ours.strip() != theirs.strip():
            raise ConfigurationError(f"{hint} (tokens {ids[:4]} ... spell {ours[:40]!r} here, {theirs[:40]!r} there)")

    def _probe(self) -> bool:
        """Asks for one token, so that a server that cannot be used is known before hours of work. Returns whether its
        log-probabilities are those of temperature 1 whatever the temperature is."""
        first = Request(prompt_ids=_plain_tokens(self._tokenizer)[:1], max_new_tokens=1, temperature=0)
        # At the lowest temperature the same token is drawn, now with probability 1.
        second = replace(first, temperature=self._flavour.temperatures[0])
        greedy, sharp = (
            self._ask(_Sample(request=request, seed=0, applied=AppliedGrammar()))[0] for request in (first, second)
        )
        return greedy.token_ids[0] == sharp.token_ids[0] and math.isclose(
            greedy.logprobs[0], sharp.logprobs[0], abs_tol=1e-4
        )


def _plain_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens that spell printable ASCII, from the whole vocabulary."""
    size = len(tokenizer)
    special = frozenset(tokenizer.all_special_ids)
    found = []
    for start in range(0, size, max(1, size // _COMPARED_TOKENS)):
        for token in range(start, min(size, start + max(1, size // _COMPARED_TOKENS))):
            text = tokenizer.decode([token], clean_up_tokenization_spaces=False)
            if token not in special and text.strip() and text.isascii() and text.isprintable():
                found.append(token)
                break
    return found
