"""VllmEngine against vLLM itself, on a small random model in float32; transformers with the same weights is the truth.

Runs where vLLM can be imported. Where another interpreter has it, ``STRUCTRL_VLLM_PYTHON`` names that one.
"""

import importlib.util
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import build_tiny_tokenizer
from vllm_model import build_vllm_model

from decoding.engine import Generation, Request
from decoding.grammars.compiler import shared_compiler
from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.row import Row
from decoding.transformers_engine import TransformersEngine, end_ids
from decoding.turn_ends import TurnEnds
from decoding.vllm_engine import VllmEngine, load_vllm, vllm_options
from envs.errors import ConfigurationError
from envs.grammar import Block, Grammar, Region

HAS_VLLM = importlib.util.find_spec("vllm") is not None
OTHER = os.environ.get("STRUCTRL_VLLM_PYTHON")

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
JSON = Grammar(kind="json_schema", source=json.dumps(SCHEMA))
GRAMMARS = {
    "json_schema": JSON,
    "lark": Grammar(kind="lark", source='start: "(" start ")" | NAME\nNAME: /[a-z{}]{1,9}/'),
    "ebnf": Grammar(kind="ebnf", source='root ::= "SELECT " name (", " name)* " FROM t"\nname ::= [a-d]+'),
    "regex": Grammar(kind="regex", source="[a-z ]+[.?]/"),
    "choice": Grammar(kind="choice", source=json.dumps(["singer", "single", "stadium city"])),
    "tagged": Grammar(
        kind="tagged",
        regions=(
            Region(blocks=(Block(opening="<t>", closing="</t>"),)),
            Region(blocks=(Block(opening="<a>", content=JSON, closing="</a>"),)),
        ),
    ),
}


@dataclass(frozen=True)
class Engines:
    vllm: VllmEngine
    transformers: TransformersEngine
    model: Any
    tokenizer: Any

    def prompt(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def end_ids(self) -> frozenset[int]:
        return end_ids(self.model, self.tokenizer)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_vllm_model(tmp_path_factory.mktemp("vllm_model"))


@pytest.fixture(scope="module")
def engines(directory: Path) -> Engines:
    if not HAS_VLLM:
        pytest.skip("needs vLLM (docs/engines.md), or STRUCTRL_VLLM_PYTHON, an interpreter that has it")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    llm = load_vllm(str(directory), dtype="float32", max_model_len=256, enforce_eager=True, disable_log_stats=True)
    assert torch.equal(torch.get_rng_state(), before)
    tokenizer = load_tokenizer(str(directory))
    model = load_model(ModelConfig(reference=str(directory)))
    return Engines(VllmEngine(llm, tokenizer), TransformersEngine(model, tokenizer), model, tokenizer)


def masked_logprobs(engines: Engines, request: Request, generation: Generation) -> list[float]:
    """log q of what the model wrote, from one forward and the masks of our own matcher."""
    written = list(generation.token_ids)
    with torch.no_grad():
        logits = engines.model(torch.tensor([[*request.prompt_ids, *written]])).logits[0].float()
    rows = logits[len(request.prompt_ids) - 1 : -1] / (request.temperature or 1.0)
    matcher = None
    if generation.grammar is not None:
        matcher = shared_compiler(engines.tokenizer, end_ids=engines.end_ids()).compile(generation.grammar).matcher()
    logprobs = []
    for row, token in zip(rows, written[: len(written) - generation.closed], strict=False):
        if matcher is not None:
            words = matcher.mask()
            assert words is not None
            allowed = np.unpackbits(words.view(np.uint8), bitorder="little")[: len(row)].astype(bool)
            row = row.masked_fill(~torch.from_numpy(allowed), -torch.inf)
            matcher.consume([token])
        logprobs.append(row.log_softmax(dim=0)[token].item())
    return logprobs


@pytest.mark.vllm
@pytest.mark.parametrize("kind", [None, *GRAMMARS])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.0])
def test_logprobs_are_those_of_the_distribution_that_our_masks_give(
    engines: Engines, kind: str | None, temperature: float
) -> None:
    grammar = None if kind is None else GRAMMARS[kind]
    prompt = engines.prompt("Return the JSON object")
    request = Request(prompt_ids=prompt, max_new_tokens=60, grammar=grammar, n=6, seed=1, temperature=temperature)
    for generation in engines.vllm.generate([request]):
        assert generation.grammar == grammar and generation.grammar_error is None and generation.log_z is None
        expected = masked_logprobs(engines, request, generation)
        assert np.isfinite(expected).all()
        assert generation.logprobs[: len(expected)] == pytest.approx(expected, abs=2e-4)
        assert generation.logprobs[len(expected) :] == (0.0,) * generation.closed


@pytest.mark.vllm
@pytest.mark.parametrize("kind", [None, *GRAMMARS])
@pytest.mark.parametrize("budget", [3, 40])
def test_greedy_generations_are_those_of_the_transformers_engine(
    engines: Engines, kind: str | None, budget: int
) -> None:
    grammar = None if kind is None else GRAMMARS[kind]
    requests = [
        Request(
            prompt_ids=engines.prompt(text), max_new_tokens=budget, temperature=0, grammar=grammar, stops=stops, n=2
        )
        for text in ("SELECT name", "The answer is", "system user")
        for stops in ((), ("e", "11"))
        if grammar is None or not stops
    ]
    for ours, theirs in zip(engines.vllm.generate(requests), engines.transformers.generate(requests), strict=True):
        assert replace(ours, logprobs=(), log_z=None) == replace(theirs, logprobs=(), log_z=None)
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=2e-4)


@pytest.mark.vllm
def test_turns_end_where_our_own_loop_ends_them(engines: Engines) -> None:
    ends = TurnEnds(engines.tokenizer, engines.end_ids())
    stops = ("e", "a\n", "er", "<|im_start|>", " \N{LATIN SMALL LETTER E WITH ACUTE}")
    request = Request(prompt_ids=engines.prompt("as"), max_new_tokens=50, stops=stops, n=64, seed=3)
    finishes = []
    for generation in engines.vllm.generate([request]):
        row = Row(request, number=0, stream=None)
        said = []
        for token in generation.token_ids:
            row.append(token, logprob=0.0, log_z=0.0)
            said.append(ends.finish(row))
        assert said == [None] * (len(said) - 1) + [generation.finish]
        finishes.append(generation.finish)
    assert {"eos", "stop"} <= set(finishes)


@pytest.mark.vllm
def test_samples_follow_the_masked_distribution(engines: Engines) -> None:
    grammar = Grammar(kind="choice", source='["a", "b", "c", "d"]')
    request = Request(prompt_ids=engines.prompt("LIMIT"), max_new_tokens=1, grammar=grammar, n=1500, seed=2)
    generations = engines.vllm.generate([request])
    probability = {generation.token_ids[0]: np.exp(generation.logprobs[0]) for generation in generations}
    drawn = [generation.token_ids[0] for generation in generations]
    expected = {token: value * len(drawn) for token, value in probability.items()}
    assert sum(probability.values()) == pytest.approx(1, abs=0.02)
    chi_square = sum((drawn.count(token) - count) ** 2 / count for token, count in expected.items())
    assert chi_square < 22  # p = 0.0001 of three degrees of freedom


@pytest.mark.vllm
def test_a_seed_decides_its_samples_whatever_is_beside_them(engines: Engines) -> None:
    def texts(seed: int | None, beside: int = 0) -> list[tuple[int, ...]]:
        request = Request(prompt_ids=engines.prompt("Ada"), max_new_tokens=20, n=3, seed=seed)
        noise = Request(prompt_ids=engines.prompt("Return"), max_new_tokens=9, n=max(1, beside), seed=9)
        requests = [noise] * (beside > 0) + [request]
        return [generation.token_ids for generation in engines.vllm.generate(requests)][-3:]

    assert texts(1) == texts(1, beside=5)
    assert len({*texts(1), *texts(2), *texts(3)}) == 9
    torch.manual_seed(0)
    first = texts(None)
    second = texts(None)
    torch.manual_seed(0)
    assert texts(None, beside=0) == first != second


@dataclass(frozen=True)
class NoB:
    """A narrowing for the test: no ``b`` anywhere."""

    def start(self) -> "NoB":
        return self

    def copy(self) -> "NoB":
        return self

    def advance(self, text: bytes) -> None:
        if not self.allowed([text])[0]:
            raise ValueError("there is a b")

    def allowed(self, continuations: Sequence[bytes]) -> list[bool]:
        return [b"b" not in text for text in continuations]

    def indifferent(self) -> None:
        return None


@pytest.mark.vllm
def test_what_cannot_be_sent_is_left_out_and_checked_afterwards(engines: Engines) -> None:
    narrowed = Grammar(kind="regex", source="[a-z]{3}", narrowing=NoB())
    request = Request(
        prompt_ids=engines.prompt("LIMIT"), max_new_tokens=9, grammar=narrowed, n=120, seed=2, temperature=2
    )
    judged = set()
    for generation in engines.vllm.generate([request]):
        assert generation.grammar == replace(narrowed, narrowing=None) and generation.grammar_lenient is not None
        text = engines.tokenizer.decode(generation.token_ids, skip_special_tokens=True)
        assert generation.is_sentence == ("b" not in text)
        judged.add(generation.is_sentence)
    assert judged == {True, False}


@pytest.mark.vllm
@pytest.mark.parametrize(
    "grammar", [Grammar(kind="lark", source="start: /a"), Grammar(kind="json_schema", source='{"enum": []}')]
)
def test_a_grammar_that_cannot_be_applied_leaves_the_model_free(engines: Engines, grammar: Grammar) -> None:
    request = Request(prompt_ids=engines.prompt("SELECT"), max_new_tokens=12, grammar=grammar, n=2, seed=1)
    free = engines.vllm.generate([replace(request, grammar=None)])
    for generation, other in zip(engines.vllm.generate([request]), free, strict=True):
        assert generation.grammar is None and generation.grammar_error
        assert generation.token_ids == other.token_ids


@pytest.mark.vllm
def test_what_only_our_own_loop_can_do_is_refused(engines: Engines) -> None:
    request = Request(prompt_ids=engines.prompt("SELECT"), max_new_tokens=4)
    with pytest.raises(ConfigurationError, match="transformers engine"):
        engines.vllm.generate([replace(request, sampler=SimpleNamespace())])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="0.01 to 2"):
        engines.vllm.generate([replace(request, temperature=0.001)])
    with pytest.raises(ConfigurationError, match="vLLM refuses"):
        engines.vllm.generate([request, replace(request, prompt_ids=[7] * 300)])
    # What was in the same batch does not come back later.
    assert len(engines.vllm.generate([request])) == 1
    assert engines.vllm.generate([]) == []


@pytest.mark.vllm
def test_the_turns_of_a_session_see_what_was_said_before(engines: Engines) -> None:
    with engines.vllm.session() as session:
        (row,) = session.open(Request(prompt_ids=engines.prompt("SELECT"), max_new_tokens=5, temperature=0))
        ((_, first),) = session.step()
        more = engines.prompt(" FROM stadium")
        session.extend(row, more, max_new_tokens=6)
        ((_, second),) = session.step()
    whole = [*engines.prompt("SELECT"), *first.token_ids, *more]
    (expected,) = engines.transformers.generate([Request(prompt_ids=whole, max_new_tokens=6, temperature=0)])
    assert second.token_ids == expected.token_ids


@pytest.mark.vllm
def test_new_weights_take_the_place_of_the_old_ones(engines: Engines) -> None:
    request = Request(prompt_ids=engines.prompt("SELECT name, age FROM singer WHERE"), max_new_tokens=12, temperature=0)
    before = engines.vllm.generate([request])
    old = {name: weight.clone() for name, weight in engines.model.state_dict().items()}
    try:
        with torch.no_grad():
            for weight in engines.model.parameters():
                weight.mul_(1.1)
        engines.vllm.load_weights(engines.model.named_parameters())
        (after,) = engines.vllm.generate([request])
        assert after.logprobs == pytest.approx(masked_logprobs(engines, request, after), abs=2e-4)
        assert [after] != before
    finally:
        engines.model.load_state_dict(old)
        engines.vllm.load_weights(engines.model.named_parameters())
    assert engines.vllm.generate([request]) == before


@pytest.mark.vllm
def test_a_model_that_vllm_cannot_run_is_named(directory: Path) -> None:
    if not HAS_VLLM:
        pytest.skip("needs vLLM (docs/engines.md)")
    with pytest.raises(ConfigurationError, match="max_model_length"):
        load_vllm(str(directory), max_model_length=5)
    with pytest.raises(ConfigurationError, match="no such directory"):
        load_vllm("./nowhere")


@pytest.mark.skipif(HAS_VLLM, reason="for an interpreter without vLLM")
def test_a_missing_vllm_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="docs/engines.md"):
        load_vllm(str(tmp_path))


def test_vllm_made_with_other_options_is_refused() -> None:
    options = vllm_options()

    def made(mode: str, backend: str) -> Any:
        structured = SimpleNamespace(backend=backend)
        vllm_config = SimpleNamespace(structured_outputs_config=structured)
        model_config = SimpleNamespace(logprobs_mode=mode)
        return SimpleNamespace(llm_engine=SimpleNamespace(model_config=model_config, vllm_config=vllm_config))

    with pytest.raises(ConfigurationError, match="processed_logprobs"):
        VllmEngine(made("raw_logprobs", "guidance"), build_tiny_tokenizer())
    with pytest.raises(ConfigurationError, match="xgrammar"):
        VllmEngine(made(options["logprobs_mode"], "xgrammar"), build_tiny_tokenizer())


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.skipif(HAS_VLLM or not OTHER, reason="for an interpreter without vLLM, where STRUCTRL_VLLM_PYTHON is set")
def test_these_tests_pass_in_the_interpreter_that_has_vllm() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "STRUCTRL_VLLM_PYTHON"}
    command = [str(OTHER), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "needs vLLM" not in done.stdout, done.stdout[-4000:]
