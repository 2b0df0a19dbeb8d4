"""What a generation says of the time it took: each part where it was spent, nothing where an engine does not tell."""

import json
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from session_turns import run_turn

from decoding import grammar_threads
from decoding.engine import Generation, Request, Timing
from decoding.grammars.compiler import GrammarCompiler
from decoding.replay_session import ReplaySession
from decoding.server_client import ServerClient
from decoding.server_engine import ServerEngine
from decoding.transformers_engine import TransformersEngine
from decoding.vllm_engine import _written
from envs.grammar import Grammar

PROMPT = [5, 6, 7, 8, 9, 10, 11]
DIGITS = Grammar(kind="regex", source="[1-9]{6,9}")
WAIT = 0.05
MOST_STEPS = 200


def timing(generation: Generation) -> Timing:
    assert generation.timing is not None
    return generation.timing


@pytest.fixture
def slow_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_now = GrammarCompiler.compile

    def compile_later(self: GrammarCompiler, grammar: Grammar) -> Any:
        time.sleep(WAIT)
        return compile_now(self, grammar)

    monkeypatch.setattr(GrammarCompiler, "compile", compile_later)


@pytest.mark.usefixtures("slow_compilation")
@pytest.mark.parametrize("kind", ["engine", "cached", "replayed"])
def test_a_turn_begins_with_its_grammar_and_its_first_token_waits_for_it(model: Any, tokenizer: Any, kind: str) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=12, grammar=DIGITS, seed=0)
    refused = Request(prompt_ids=PROMPT, max_new_tokens=1, grammar=DIGITS, seed=0)
    free = Request(prompt_ids=PROMPT, max_new_tokens=12, seed=0)
    if kind == "engine":
        turns = dict(enumerate(engine.generate([request, refused, free])))
    else:
        with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
            for asked in (request, refused, free):
                session.open(asked)
            turns = run_turn(session, most_steps=MOST_STEPS)
    masked, without, unmasked = (timing(turns[row]) for row in range(3))
    for one in (masked, without):
        assert WAIT <= one.grammar <= one.first_token <= one.last_token
    assert turns[1].grammar_error is not None and without.first_token == without.last_token
    assert unmasked.grammar == 0 < unmasked.first_token < unmasked.last_token


@pytest.mark.usefixtures("slow_compilation")
def test_each_turn_is_timed_from_its_own_beginning(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer).session() as session:
        request = Request(prompt_ids=PROMPT, max_new_tokens=3, grammar=DIGITS, seed=0, pauses=True)
        (row,) = session.open(request)
        run_turn(session, most_steps=MOST_STEPS)
        time.sleep(WAIT)
        began = time.perf_counter()
        # Its grammar is there: it goes on.
        session.extend(row, (), max_new_tokens=3, pauses=True)
        second = timing(run_turn(session, most_steps=MOST_STEPS)[row])
        elapsed = time.perf_counter() - began
        session.extend(row, [20], max_new_tokens=9, grammar=DIGITS)
        fork = session.fork(row, seed=1)
        turns = run_turn(session, most_steps=MOST_STEPS)
    third = timing(turns[row])
    assert second.grammar == 0 and 0 < second.first_token < second.last_token < elapsed
    assert WAIT <= third.grammar <= third.first_token
    # A fork in the midst of a turn has been in it as long.
    assert timing(turns[fork]).grammar == pytest.approx(third.grammar, abs=0.02)


def test_forced_tokens_are_there_once_the_model_has_read_what_is_before_them(model: Any, tokenizer: Any) -> None:
    handle = model.register_forward_pre_hook(lambda *_: time.sleep(WAIT))
    request = Request(prompt_ids=PROMPT, max_new_tokens=20, grammar=Grammar(kind="choice", source='["one answer"]'))
    (generation,) = TransformersEngine(model, tokenizer).generate([request])
    handle.remove()
    assert timing(generation).first_token >= timing(generation).grammar + WAIT


def test_a_structure_that_is_closed_has_its_last_token_then(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_now = grammar_threads.close_text

    def close_later(*arguments: Any, **options: Any) -> Any:
        time.sleep(WAIT)
        return close_now(*arguments, **options)

    monkeypatch.setattr(grammar_threads, "close_text", close_later)
    quoted = Grammar(kind="regex", source='"[a-z]{12,90}"')
    request = Request(prompt_ids=PROMPT, max_new_tokens=9, grammar=quoted, seed=0, n=2)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        if generation.closed:
            assert timing(generation).last_token >= timing(generation).first_token + WAIT
            return
    raise AssertionError("nothing was closed")


def server_engine(tokenizer: Any, flavour: str, answer: dict[str, Any]) -> ServerEngine:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "tiny"}]})
        if request.url.path == "/detokenize":
            text = tokenizer.decode(json.loads(request.content)["tokens"])
            return httpx.Response(200, json={"content": text, "prompt": text})
        return httpx.Response(200, json=answer)

    client = ServerClient("http://server:1", transport=httpx.MockTransport(reply))
    return ServerEngine(client, tokenizer, flavour=flavour, logprobs_needed=False)


def test_servers_tell_what_they_measure(tokenizer: Any) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=9, seed=0)
    masked = Request(
        prompt_ids=PROMPT, max_new_tokens=9, seed=0, grammar=Grammar(kind="choice", source='["certainly"]')
    )
    answer = {"tokens": [10, 11, 12], "stop_type": "limit", "timings": {"prompt_ms": 40.0, "predicted_ms": 20}}
    made, under_grammar = server_engine(tokenizer, "llama.cpp", answer).generate([request, masked])
    assert made.timing == Timing(grammar=0.0, first_token=pytest.approx(0.04), last_token=pytest.approx(0.06))
    assert timing(under_grammar).grammar > 0
    assert timing(under_grammar).first_token == pytest.approx(timing(under_grammar).grammar + 0.04)
    for timings in (None, {}, {"prompt_ms": None, "predicted_ms": 2}):
        (made,) = server_engine(tokenizer, "llama.cpp", {**answer, "timings": timings}).generate([request])
        assert made.timing is None
    choice = {"token_ids": [10, 11], "logprobs": {"token_logprobs": [-1, -1]}, "finish_reason": "length"}
    (made,) = server_engine(tokenizer, "vllm", {"choices": [choice]}).generate([request])
    assert made.timing is None


def test_vllm_tells_it_with_its_statistics() -> None:
    completion = SimpleNamespace(
        token_ids=(10, 11),
        finish_reason="length",
        stop_reason=None,
        logprobs=({10: SimpleNamespace(logprob=-1.0)}, {11: SimpleNamespace(logprob=-1.0)}),
    )
    for metrics, seconds in (
        (None, None),
        ({"first_token_latency": 0.0, "first_token_ts": 0.0, "last_token_ts": 0.0}, None),
        ({"first_token_latency": 0.5, "first_token_ts": 100.0, "last_token_ts": 100.25}, (0.5, 0.75)),
    ):
        stats = None if metrics is None else SimpleNamespace(**metrics)
        output = SimpleNamespace(outputs=[completion], prompt_token_ids=[1, 2], metrics=stats)
        assert _written(output).seconds == seconds
