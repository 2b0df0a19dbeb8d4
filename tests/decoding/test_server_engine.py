"""ServerEngine against a scripted server, whose answers have the form of real ones: those of vLLM 0.32 and llama.cpp.

Real servers are asked in test_server_processes.py.
"""

import json
import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from decoding.engine import Request
from decoding.models import load_tokenizer
from decoding.server_client import ServerClient, ServerError
from decoding.server_engine import ServerEngine
from envs.errors import ConfigurationError
from envs.grammar import Grammar

SCHEMA = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False}
JSON = Grammar(kind="json_schema", source=json.dumps(SCHEMA))


class Script:
    """A server that writes fixed token ids, and remembers what it was asked for."""

    def __init__(self, tokenizer: Any, ids: list[int] | None = None, **answers: Any) -> None:
        self.tokenizer = tokenizer
        self.ids = [5] if ids is None else ids
        self.finish: tuple[str, Any] = ("stop", None)
        self.llama_finish = "eos"
        self.answers = answers
        """By path: what is answered in place of the script's own answer; a function is called with the body."""
        self.bodies: list[dict[str, Any]] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def client(self, attempts: int = 3, **options: Any) -> ServerClient:
        transport = httpx.MockTransport(self.answer)
        return ServerClient("http://server:1/v1", attempts=attempts, first_wait_s=0.001, transport=transport, **options)

    def answer(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            body = json.loads(request.content or b"{}")
            special = self.answers.get(request.url.path)
            if callable(special):
                special = special(body)
            if special is not None:
                return special
            return httpx.Response(200, json=getattr(self, "_" + request.url.path.rsplit("/", 1)[1])(body))
        finally:
            with self._lock:
                self._now -= 1

    def _models(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "tiny", "object": "model"}]}

    def _detokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        text = self.tokenizer.decode(body["tokens"])
        return {"prompt": text, "content": text}

    def _completions(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        ids = [7] if body["max_tokens"] == 1 else self.ids
        # A processed log-probability is 0 at a low temperature.
        logprobs = [-0.5 if body["temperature"] != 0.01 else 0.0] * len(ids)
        told = {"token_logprobs": logprobs, "tokens": [""] * len(ids), "text_offset": [0] * len(ids)}
        choice = {"index": 0, "text": "", "logprobs": told, "finish_reason": self.finish[0], "token_ids": ids}
        return {"object": "text_completion", "choices": [{**choice, "stop_reason": self.finish[1]}]}

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        key = "prob" if body["post_sampling_probs"] else "logprob"
        # What llama.cpp leaves out: a token within a character.
        entries = [{"id": token, key: 0.5 if key == "prob" else -0.5} for token in self.ids if token != 133]
        grammar = "root ::= ..." if "grammar" in body or "json_schema" in body else ""
        return {
            "tokens": self.ids,
            "content": "",
            "stop_type": self.llama_finish,
            "completion_probabilities": entries,
            "generation_settings": {"grammar": grammar},
        }


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(str(tiny_model))


@pytest.fixture
def script(tokenizer: Any) -> Script:
    return Script(tokenizer)


def request_for(tokenizer: Any, **options: Any) -> Request:
    return Request(**{"prompt_ids": tokenizer.encode("SELECT"), "max_new_tokens": 20, "seed": 1, **options})


def test_vllm_is_asked_for_ids_and_for_nothing_but_the_models_distribution(tokenizer: Any, script: Script) -> None:
    script.ids = [10, 11, tokenizer.eos_token_id]
    with ServerEngine(script.client(), tokenizer) as engine:
        generations = engine.generate([request_for(tokenizer, n=2, stops=("x",), temperature=0.7)])
    assert [(made.token_ids, made.finish, made.logprobs) for made in generations] == [
        ((10, 11, tokenizer.eos_token_id), "eos", (-0.5,) * 3)
    ] * 2
    first, second = script.bodies[-2:]
    assert first["prompt"] == tokenizer.encode("SELECT") and first["model"] == "tiny"
    neutral = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "n": 1, "return_token_ids": True}
    assert {name: first[name] for name in neutral} == neutral
    assert first["temperature"] == 0.7 and first["stop"] == ["x"] and first["max_tokens"] == 20
    assert first["seed"] != second["seed"]


def test_vllm_is_sent_the_grammar_of_our_own_masks(tokenizer: Any, script: Script) -> None:
    script.ids = [*tokenizer.encode('{"a": true}'), tokenizer.eos_token_id]
    engine = ServerEngine(script.client(), tokenizer)
    (made,) = engine.generate([request_for(tokenizer, grammar=JSON)])
    sent = script.bodies[-1]["structured_outputs"]["grammar"]
    assert "%json" in sent and '"a"' in sent
    assert (made.grammar, made.grammar_error, made.grammar_lenient, made.closed) == (JSON, None, None, 0)


def test_what_is_no_sentence_of_our_masks_is_noticed(tokenizer: Any, script: Script) -> None:
    script.ids = [*tokenizer.encode('{"b": true}'), tokenizer.eos_token_id]
    (made,) = ServerEngine(script.client(), tokenizer).generate([request_for(tokenizer, grammar=JSON)])
    assert made.grammar_error is not None


def test_a_structure_that_the_budget_cut_off_is_closed(tokenizer: Any, script: Script) -> None:
    whole = tokenizer.encode('{"a": true}')
    script.ids, script.finish, budget = whole[:-2], ("length", None), len(whole) + 1
    request = request_for(tokenizer, grammar=JSON, max_new_tokens=budget)
    (made,) = ServerEngine(script.client(), tokenizer).generate([request])
    assert json.loads(tokenizer.decode(made.token_ids, skip_special_tokens=True)) in ({"a": True}, {"a": False})
    assert made.closed > 0 and made.logprobs[-made.closed :] == (0.0,) * made.closed
    assert len(made.logprobs) == len(made.token_ids) <= budget


def test_a_grammar_that_the_server_refuses_leaves_the_model_free(tokenizer: Any, script: Script) -> None:
    def refuse(body: dict[str, Any]) -> httpx.Response | None:
        error = {"error": {"message": "Grammar error: lexer", "code": 400}}
        return httpx.Response(400, json=error) if "structured_outputs" in body else None

    script.answers["/v1/completions"] = refuse
    script.ids = [9, tokenizer.eos_token_id]
    (made,) = ServerEngine(script.client(), tokenizer).generate([request_for(tokenizer, grammar=JSON)])
    assert made.grammar is None and made.token_ids == (9, tokenizer.eos_token_id)
    assert made.grammar_error is not None and "Grammar error: lexer" in made.grammar_error


def test_a_turn_that_goes_on_within_its_grammar_goes_on_freely(tokenizer: Any, script: Script) -> None:
    request = request_for(tokenizer, prompt_ids=[9, *tokenizer.encode('{"a":')], written=3, grammar=JSON)
    (made,) = ServerEngine(script.client(), tokenizer).generate([request])
    assert made.grammar is None and made.grammar_error is not None and "3 tokens of the prompt" in made.grammar_error
    assert "structured_outputs" not in script.bodies[-1]


def test_a_server_that_fails_with_a_grammar_says_what_to_look_at(tokenizer: Any, script: Script) -> None:
    engine = ServerEngine(script.client(), tokenizer)
    script.answers["/v1/completions"] = lambda body: httpx.Response(500, text="Internal server error")
    with pytest.raises(ServerError, match="500: Internal server error .*guidance"):
        engine.generate([request_for(tokenizer, grammar=JSON)])


@pytest.mark.parametrize(
    "finish, stops, texts, kept, expected",
    [
        (("stop", "am"), ("am",), ["name"], 1, "stop"),
        (("length", None), (), ["name", "age"], 2, "length"),
        # The server goes on after what completes a stop string, after an end of text, or after the budget.
        (("length", None), ("am",), ["name", "age"], 1, "stop"),
        (("length", None), (), ["<|im_end|>", "name"], 1, "eos"),
        (("stop", None), (), ["a"] * 21 + ["<|im_end|>"], 20, "length"),
    ],
)
def test_turns_end_where_our_own_loop_ends_them(
    tokenizer: Any,
    script: Script,
    finish: tuple[str, Any],
    stops: tuple[str, ...],
    texts: list[str],
    kept: int,
    expected: str,
) -> None:
    script.ids = [token for text in texts for token in tokenizer.encode(text)]
    script.finish = finish
    (made,) = ServerEngine(script.client(), tokenizer).generate([request_for(tokenizer, stops=stops)])
    assert made.finish == expected
    assert tokenizer.decode(made.token_ids) == "".join(texts[:kept])


def test_llama_cpp_tells_what_it_can(tokenizer: Any, script: Script) -> None:
    script.ids, script.llama_finish = [10, 133, 11], "limit"
    engine = ServerEngine(script.client(), tokenizer, flavour="llama.cpp", logprobs_needed=False)
    (made,) = engine.generate([request_for(tokenizer, temperature=0.5)])
    assert made.token_ids == (10, 133, 11) and made.finish == "length"
    assert [round(logprob, 6) for logprob in made.logprobs[::2]] == [round(math.log(0.5), 6)] * 2
    assert math.isnan(made.logprobs[1])
    assert script.bodies[-1]["samplers"] == ["temperature"] and script.bodies[-1]["return_tokens"] is True


@pytest.mark.parametrize("text, is_sentence", [('{\n "a" :true}', True), ('{"a": 1}', False)])
def test_masks_of_others_are_checked_afterwards(tokenizer: Any, script: Script, text: str, is_sentence: bool) -> None:
    # It ends texts with a special token that is no end of text to us.
    script.ids = [*tokenizer.encode(text), tokenizer.pad_token_id]
    engine = ServerEngine(script.client(), tokenizer, flavour="llama.cpp", logprobs_needed=False)
    (made,) = engine.generate([request_for(tokenizer, grammar=JSON, max_new_tokens=40)])
    assert script.bodies[-1]["json_schema"] == SCHEMA
    assert made.grammar_lenient is not None and made.is_sentence is is_sentence and made.finish == "eos"
    assert all(map(math.isnan, made.logprobs))


@pytest.mark.parametrize(
    "grammar, field",
    [
        (Grammar(kind="choice", source='["a \\"b\\"", "c\\n"]'), r'root ::= "a \"b\"" | "c\n"'),
        (Grammar(kind="ebnf", source='root ::= "a"'), 'root ::= "a"'),
        (Grammar(kind="regex", source="a+"), None),
        (Grammar(kind="choice", source="[]"), None),
    ],
)
def test_llama_cpp_is_sent_what_it_understands(
    tokenizer: Any, script: Script, grammar: Grammar, field: str | None
) -> None:
    engine = ServerEngine(script.client(), tokenizer, flavour="llama.cpp", logprobs_needed=False)
    (made,) = engine.generate([request_for(tokenizer, grammar=grammar)])
    assert script.bodies[-1].get("grammar") == field
    assert (made.grammar_error is None) == (field is not None) == (made.grammar is not None)


def test_openai_ids_are_read_from_the_names_of_tokens(tokenizer: Any, script: Script) -> None:
    def named(body: dict[str, Any]) -> httpx.Response:
        told = {"tokens": ["token_id:8", "token_id:9"], "token_logprobs": [-1.0, -2.0]}
        choice = {"text": "", "logprobs": told, "finish_reason": "length"}
        return httpx.Response(200, json={"choices": [choice]})

    script.answers["/v1/completions"] = named
    engine = ServerEngine(script.client(), tokenizer, flavour="openai")
    (made,) = engine.generate([request_for(tokenizer)])
    assert made.token_ids == (8, 9) and made.logprobs == (-1.0, -2.0)
    with pytest.raises(ConfigurationError, match="not ours"):
        engine.generate([request_for(tokenizer, grammar=JSON)])


def text_only(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"text": "abc", "finish_reason": "stop", "logprobs": None}]})


@pytest.mark.parametrize(
    "answers, options, complaint",
    [
        ({"/v1/completions": text_only}, {}, "text without token ids.*0.11"),
        ({"/v1/completions": text_only}, {"flavour": "openai"}, "text without token ids"),
        ({"/completion": text_only}, {"flavour": "llama.cpp", "logprobs_needed": False}, "llama-server"),
        ({}, {"flavour": "llama.cpp"}, "use vLLM where log-probabilities are needed"),
        ({}, {"model": "other"}, "serves 'tiny', expected 'other'"),
        ({}, {"flavour": "tgi"}, "no kind of server"),
        ({"/detokenize": lambda body: httpx.Response(200, json={"prompt": "xyz"})}, {}, "tokenizer is not the one"),
        ({"/v1/models": lambda body: httpx.Response(404, text="nothing here")}, {}, "404: nothing here"),
        ({"/v1/models": lambda body: httpx.Response(401, json={"error": {"message": "key"}})}, {}, "401: key"),
        ({"/v1/models": lambda body: httpx.Response(200, text="<html>")}, {}, "expected a JSON object"),
    ],
)
def test_a_server_that_cannot_be_used_is_known_at_once(
    tokenizer: Any, answers: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    script = Script(tokenizer, **{})
    script.answers = answers
    with pytest.raises(ConfigurationError, match=complaint):
        ServerEngine(script.client(), tokenizer, **options)


def test_a_server_that_is_not_there_is_named() -> None:
    client = ServerClient("http://127.0.0.1:9/v1", attempts=2, first_wait_s=0.001)
    with pytest.raises(ServerError, match=r"GET http://127.0.0.1:9/v1/models: no answer \(ConnectError"):
        client.get("/v1/models")
    with pytest.raises(ServerError, match="http://HOST:PORT"):
        ServerClient("server:1", attempts=1).get("/v1/models")


@pytest.mark.parametrize("status, tries", [(503, 3), (429, 3), (500, 3), (400, 1)])
def test_only_what_may_pass_is_tried_again(tokenizer: Any, status: int, tries: int) -> None:
    script = Script(tokenizer)
    statuses = iter([status] * 2)
    asked: list[int] = []

    def fail_twice(body: dict[str, Any]) -> httpx.Response | None:
        asked.append(next(statuses, 200))
        return httpx.Response(asked[-1], text="busy") if asked[-1] != 200 else None

    script.answers["/v1/models"] = fail_twice
    if tries == 1:
        with pytest.raises(ServerError, match="400: busy"):
            script.client().get("/v1/models")
    else:
        assert script.client().get("/v1/models")["data"]
    assert len(asked) == tries


def test_logprobs_of_another_temperature_are_refused_where_they_are_needed(tokenizer: Any, script: Script) -> None:
    def raw(body: dict[str, Any]) -> httpx.Response:
        choice = {"token_ids": [7], "logprobs": {"token_logprobs": [-0.5]}, "finish_reason": "length"}
        return httpx.Response(200, json={"choices": [choice]})

    script.answers["/v1/completions"] = raw
    engine = ServerEngine(script.client(), tokenizer)
    assert engine.generate([request_for(tokenizer, temperature=1.0)])[0].logprobs == (-0.5,)
    with pytest.raises(ConfigurationError, match="--logprobs-mode processed_logprobs"):
        engine.generate([request_for(tokenizer, temperature=0.5)])
    unneeded = ServerEngine(script.client(), tokenizer, logprobs_needed=False)
    assert unneeded.generate([request_for(tokenizer, temperature=0.5)])


def test_no_more_requests_are_under_way_than_allowed(tokenizer: Any, script: Script) -> None:
    engine = ServerEngine(script.client(), tokenizer, max_concurrency=3)
    script.most = 0
    script.answers["/v1/completions"] = lambda body: time.sleep(0.005)
    made = engine.generate([request_for(tokenizer, n=12), request_for(tokenizer, n=1)])
    assert len(made) == 13 and 1 < script.most <= 3


def test_what_only_our_own_loop_can_do_is_refused(tokenizer: Any, script: Script) -> None:
    engine = ServerEngine(script.client(), tokenizer)
    sampled = replace(request_for(tokenizer), sampler=SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="transformers engine"):
        engine.generate([sampled])
    with pytest.raises(ConfigurationError, match="0.01 to 2"):
        engine.generate([request_for(tokenizer, temperature=3)])


def test_the_turns_of_a_session_see_what_was_said_before(tokenizer: Any, script: Script) -> None:
    script.ids = [20, tokenizer.eos_token_id]
    with ServerEngine(script.client(), tokenizer).session() as session:
        (row,) = session.open(request_for(tokenizer))
        session.step()
        session.extend(row, [30, 31], max_new_tokens=5)
        ((number, made),) = session.step()
    assert number == row and made.token_ids == (20, tokenizer.eos_token_id)
    assert script.bodies[-1]["prompt"] == [*tokenizer.encode("SELECT"), 20, tokenizer.eos_token_id, 30, 31]


def test_the_key_is_sent(tokenizer: Any) -> None:
    keys = []

    def note(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("authorization"))
        return httpx.Response(200, json={})

    ServerClient("http://server", api_key="k", transport=httpx.MockTransport(note)).get("/v1/models")
    ServerClient("http://server", transport=httpx.MockTransport(note)).get("/v1/models")
    assert keys == ["Bearer k", None]
