"""What generates in an evaluation: the ``engine`` section of its configuration."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from accelerate import PartialState
from transformers import GenerationConfig, PreTrainedTokenizerBase

from decoding.decoder import require_window
from decoding.engine import Engine
from decoding.model_reference import resolve_reference
from decoding.models import ModelConfig, load_model, window
from decoding.server_client import ServerClient, TransientError
from decoding.server_engine import ServerEngine
from decoding.server_flavours import FLAVOURS
from decoding.transformers_engine import TransformersEngine
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from eval.config import HeldoutConfig


@dataclass(frozen=True, kw_only=True)
class OpenEngine:
    """An engine that is ready, and what is known of its model."""

    engine: Engine
    window: int | None
    """Positions that the model has; None: it is not known."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What generates."""

    name: Literal["transformers", "vllm", "server"] = "transformers"
    """In this process with transformers or vLLM, or an inference server."""
    vllm: dict[str, Any] = field(default_factory=dict)
    """With vllm: options of ``vllm.LLM`` (gpu_memory_utilization, max_model_len, dtype)."""
    url: str | None = None
    """With server: where it listens (http://HOST:PORT)."""
    flavour: str = "vllm"
    """With server: vllm, llama.cpp or openai."""
    model: str | None = None
    """With server: the model's name there; null: the only one that it serves."""
    tokenizer: str | None = None
    """With server: a reference of the model's tokenizer; null: that of ``model`` beside this section."""
    api_key_variable: str | None = None
    """With server: the environment variable that holds its API key."""
    concurrency: int = 64
    """With server: samples that are asked for at once."""
    logprobs: bool = False
    """With server: log-probabilities are needed (a search by likelihood), and a server that does not tell them is
    refused."""
    timeout_s: float = 600.0
    """With server: seconds for one answer."""
    attempts: int = 8
    """With server: how often a request is sent at most, when the server is busy or not there."""
    first_wait_s: float = 0.5
    """With server: seconds before the second try; they double each time, up to 30."""

    def __post_init__(self) -> None:
        if self.name == "server" and not self.url:
            raise ConfigurationError("engine.name 'server' needs engine.url: http://HOST:PORT of the server")
        if self.flavour not in FLAVOURS:
            raise ConfigurationError(f"engine.flavour is '{self.flavour}'; expected {', '.join(sorted(FLAVOURS))}")
        for name in ("concurrency", "attempts"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"engine.{name} is {getattr(self, name)}; expected an integer from 1")
        if not self.first_wait_s >= 0 or not self.timeout_s > 0:
            raise ConfigurationError(
                f"engine.first_wait_s is {self.first_wait_s:g} and engine.timeout_s {self.timeout_s:g}; expected"
                " seconds: 0 or more, and more than 0"
            )
        if self.name != "vllm" and self.vllm:
            raise ConfigurationError(f"engine.vllm is for engine.name 'vllm', and that is '{self.name}'; leave it out")

    def tokenizer_reference(self, model: str) -> str:
        """Whose tokenizer prompts are written with."""
        return self.tokenizer if self.name == "server" and self.tokenizer else model

    @contextmanager
    def opened(
        self,
        model: str,
        dtype: Literal["float32", "bfloat16", "float16"],
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        tasks: Sequence[Task],
        heldout: HeldoutConfig,
    ) -> Iterator[OpenEngine]:
        """The engine, ready to answer ``tasks``.

        Args:
            model: its reference.
            dtype: of the weights, where they are loaded here.
            tokenizer: of the model.
            environment: what is answered.
            tasks: what is asked.
            heldout: how.

        Raises:
            ConfigurationError: the model cannot be loaded or run so, or a prompt does not fit its window.
            ServerError: the server cannot be reached.
        """

        def require(limit: int | None) -> None:
            require_window(tokenizer, environment, tasks, max_new_tokens=heldout.max_new_tokens, window=limit)

        if self.name == "server":
            require(None)
            with self._server(tokenizer, end_ids(self.tokenizer_reference(model))) as server:
                yield OpenEngine(engine=server, window=None)
        elif self.name == "vllm":
            most = self.vllm.get("max_model_len")
            require(most if isinstance(most, int) else None)
            yield self._vllm(model, dtype, tokenizer)
        else:
            loaded = load_model(ModelConfig(reference=model, dtype=dtype))
            require(window(loaded))
            rows = heldout.max_batch_rows
            engine = TransformersEngine(loaded.to(PartialState().device), tokenizer, max_batch_rows=rows)
            yield OpenEngine(engine=engine, window=window(loaded))

    def _vllm(self, model: str, dtype: str, tokenizer: PreTrainedTokenizerBase) -> OpenEngine:
        if PartialState().num_processes > 1:
            raise ConfigurationError(
                f"engine.name 'vllm' runs in one process, and there are {PartialState().num_processes}; start it"
                " without accelerate (engine.vllm.tensor_parallel_size divides the model), or serve the model and"
                " set engine.name to 'server'"
            )
        from decoding.vllm_engine import VllmEngine, load_vllm  # late: few evaluations need it

        llm = load_vllm(model, **{"dtype": dtype, **self.vllm})
        return OpenEngine(engine=VllmEngine(llm, tokenizer), window=llm.llm_engine.model_config.max_model_len)

    def _server(self, tokenizer: PreTrainedTokenizerBase, ends: Collection[int]) -> ServerEngine:
        assert self.url is not None
        client = ServerClient(
            self.url,
            api_key=self._api_key(),
            timeout_s=self.timeout_s,
            attempts=self.attempts,
            first_wait_s=self.first_wait_s,
        )
        try:
            return ServerEngine(
                client,
                tokenizer,
                flavour=self.flavour,
                model=self.model,
                end_ids=ends,
                logprobs_needed=self.logprobs,
                max_concurrency=self.concurrency,
            )
        except ConfigurationError as error:
            client.close()
            if isinstance(error.__cause__, TransientError):
                raise error.__cause__ from None  # it may be there again later
            raise

    def _api_key(self) -> str | None:
        if self.api_key_variable is None:
            return None
        key = os.environ.get(self.api_key_variable)
        if not key:
            raise ConfigurationError(
                f"engine.api_key_variable is '{self.api_key_variable}', and that environment variable is not set;"
                f" export {self.api_key_variable}=KEY"
            )
        return key


def end_ids(reference: str) -> frozenset[int]:
    """The ids that end a text by a model's generation settings; none where it has no such file."""
    try:
        configured = GenerationConfig.from_pretrained(resolve_reference(reference)).eos_token_id
    except OSError:
        return frozenset()
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in ids if token is not None)
