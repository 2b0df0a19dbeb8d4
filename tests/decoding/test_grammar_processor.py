"""Masks: only sentences of the row's own grammar, and the probabilities that go with them."""

import json
from typing import Any

import jsonschema_rs
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoding.engine import Request
from decoding.grammar_processor import GrammarLogitsProcessor, mask_logits
from decoding.grammars.compiler import GrammarCompiler
from decoding.transformers_engine import TransformersEngine
from envs.grammar import Grammar

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["a", "b c"]}, "maxItems": 2},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [PERSON, {"type": "boolean"}, {"enum": ["x", 3, None]}]
PROMPT = [5, 6, 7, 8]

# Every value of these schemas ends within a few dozen tokens.
LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.integers(-50, 50).flatmap(
        lambda low: st.integers(low, 200).map(lambda high: {"type": "integer", "minimum": low, "maximum": high})
    ),
    st.integers(0, 5).map(lambda longest: {"type": "string", "maxLength": longest}),
    st.lists(st.text(max_size=4) | st.integers(-9, 9), min_size=1, max_size=3).map(lambda values: {"enum": values}),
)
SMALL_SCHEMAS = st.one_of(
    LEAVES,
    st.builds(lambda items, longest: {"type": "array", "items": items, "maxItems": longest}, LEAVES, st.integers(0, 2)),
    st.dictionaries(st.text(max_size=4), LEAVES, max_size=3).map(
        lambda properties: {
            "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
        }
    ),
)  # fmt: skip


def json_grammar(schema: dict[str, Any]) -> Grammar:
    return Grammar(kind="json_schema", source=json.dumps(schema))


def allowed_tokens(matcher: Any) -> list[int]:
    """Bit by bit, not as the processor unpacks them."""
    words = matcher.mask().tolist()
    return [token for token in range(32 * len(words)) if words[token // 32] >> token % 32 & 1]


def finished_texts(tokenizer: Any, rows: torch.Tensor) -> list[str]:
    ended = [row for row in rows.tolist() if tokenizer.eos_token_id in row]
    return [tokenizer.decode(row[: row.index(tokenizer.eos_token_id)]) for row in ended]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_what_plain_generate_finishes_validates(model: Any, tokenizer: Any, schema: dict[str, Any]) -> None:
    compiler = GrammarCompiler(tokenizer)
    processor = GrammarLogitsProcessor([compiler.compile(json_grammar(schema)).matcher() for _ in range(16)])
    torch.manual_seed(0)
    output = model.generate(
        torch.tensor([PROMPT] * 16), max_new_tokens=80, do_sample=True, top_k=0, logits_processor=[processor]
    )
    texts = finished_texts(tokenizer, output[:, len(PROMPT) :])
    assert len(texts) >= 12
    validator = jsonschema_rs.Draft202012Validator(schema)
    for text in texts:
        assert validator.is_valid(json.loads(text)), text


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=SMALL_SCHEMAS)
def test_what_the_engine_finishes_validates_for_any_small_schema(
    model: Any, tokenizer: Any, schema: dict[str, Any]
) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=70, n=4, seed=0, temperature=3.0, grammar=json_grammar(schema))
    validator = jsonschema_rs.Draft202012Validator(schema)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        assert generation.grammar_error is None
        if generation.finish == "eos":
            text = tokenizer.decode(generation.token_ids, skip_special_tokens=True)
            assert validator.is_valid(json.loads(text)), text


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_log_z_is_the_allowed_mass_and_logprobs_are_renormalised(
    model: Any, tokenizer: Any, temperature: float
) -> None:
    grammar = json_grammar(PERSON)
    request = Request(prompt_ids=PROMPT, max_new_tokens=30, n=3, seed=1, temperature=temperature, grammar=grammar)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        assert generation.log_z is not None
        with torch.no_grad():
            logits = model(torch.tensor([[*PROMPT, *generation.token_ids]])).logits[0, len(PROMPT) - 1 : -1]
        log_p = (logits / temperature).double().log_softmax(dim=-1)
        matcher = GrammarCompiler(tokenizer).compile(grammar).matcher()
        for step, token in enumerate(generation.token_ids):
            log_z = log_p[step, allowed_tokens(matcher)].logsumexp(dim=0).item()
            assert generation.log_z[step] == pytest.approx(log_z, abs=1e-4)
            assert generation.logprobs[step] == pytest.approx(log_p[step, token].item() - log_z, abs=1e-4)
            matcher.consume([token])
        assert min(generation.log_z) < -0.1


def test_rows_of_one_batch_obey_their_own_grammar_or_none(model: Any, tokenizer: Any) -> None:
    # The free rows end first, so that rows with a grammar change their place in the batch.
    free = Request(prompt_ids=PROMPT, max_new_tokens=3, n=4, seed=1)
    masked = [
        Request(prompt_ids=[9] * (index + 1), max_new_tokens=80, n=2, seed=index, grammar=json_grammar(schema))
        for index, schema in enumerate(SCHEMAS)
    ]
    engine = TransformersEngine(model, tokenizer)
    generations = engine.generate([free, masked[0], free, masked[1], masked[2], free])
    places = {0: slice(4, 6), 1: slice(10, 12), 2: slice(12, 14)}
    for index, place in places.items():
        assert [one.token_ids for one in generations[place]] == [
            one.token_ids for one in engine.generate([masked[index]])
        ]
        for generation in generations[place]:
            assert generation.finish == "eos" and generation.log_z is not None
            text = tokenizer.decode(generation.token_ids, skip_special_tokens=True)
            assert jsonschema_rs.is_valid(SCHEMAS[index], json.loads(text))
    for generation in [*generations[:4], *generations[6:10], *generations[14:]]:
        assert generation.log_z is None
        assert generation.token_ids in {one.token_ids for one in engine.generate([free])}


def test_a_finished_sentence_allows_end_of_text_alone(tokenizer: Any) -> None:
    true = tokenizer.encode("true")
    processor = GrammarLogitsProcessor(
        [GrammarCompiler(tokenizer).compile(json_grammar({"type": "boolean"})).matcher(), None]
    )
    scores = torch.zeros(2, 400)
    processor(torch.tensor([PROMPT, PROMPT]), scores)
    masked = processor(torch.tensor([[*PROMPT, *true], [*PROMPT, *true]]), scores)
    assert masked[0].isfinite().nonzero().flatten().tolist() == [tokenizer.eos_token_id]
    assert masked[1].isfinite().all()
    # What generate pads with after the end changes nothing.
    after = [[*PROMPT, *true, tokenizer.eos_token_id, 0, 0], [*PROMPT, *true, 5, 5, 5]]
    masked = processor(torch.tensor(after), scores)
    assert masked[0].isfinite().nonzero().flatten().tolist() == [tokenizer.eos_token_id]


def test_all_ends_of_a_model_are_allowed_where_a_sentence_may_end(tokenizer: Any) -> None:
    matcher = GrammarCompiler(tokenizer, end_ids=(2, 0)).compile(Grammar(kind="regex", source="a")).matcher()
    processor = GrammarLogitsProcessor([matcher])
    scores = torch.zeros(1, 400)
    assert processor(torch.tensor([PROMPT]), scores)[0, [0, 2]].isinf().all()
    masked = processor(torch.tensor([[*PROMPT, *tokenizer.encode("a")]]), scores)
    assert masked[0].isfinite().nonzero().flatten().tolist() == [0, 2]


def test_logits_are_masked_by_the_matchers_that_are_given_with_them(tokenizer: Any) -> None:
    compiler = GrammarCompiler(tokenizer)
    matchers = {
        source: compiler.compile(Grammar(kind="regex", source=source)).matcher() for source in ("ax", "by", "cz")
    }
    for source, matcher in matchers.items():
        matcher.consume(tokenizer.encode(source[0]))
    # Rows come and go: those that are left, in another order, beside a free one.
    masked = mask_logits(torch.zeros(3, 400), [matchers["cz"], None, matchers["ax"]])
    assert [row.isfinite().nonzero().flatten().tolist() for row in masked[[0, 2]]] == [
        tokenizer.encode("z"), tokenizer.encode("x")
    ]  # fmt: skip
    assert masked[1].isfinite().all()
    scores = torch.zeros(1, 400)
    assert mask_logits(scores, [None]) is scores


@pytest.mark.parametrize("width", [390, 400, 401, 432, 1000])
def test_logits_may_be_wider_or_narrower_than_the_vocabulary(tokenizer: Any, width: int) -> None:
    processor = GrammarLogitsProcessor(
        [GrammarCompiler(tokenizer).compile(Grammar(kind="regex", source="ab")).matcher()]
    )
    masked = processor(torch.tensor([PROMPT]), torch.zeros(1, width))
    assert masked.shape == (1, width)
    assert masked[0].isfinite().nonzero().flatten().tolist() == tokenizer.encode("a")


def test_a_model_whose_logits_exceed_the_vocabulary_obeys_its_grammar(model: Any, tokenizer: Any) -> None:
    model.resize_token_embeddings(448)
    request = Request(prompt_ids=PROMPT, max_new_tokens=10, n=8, seed=0, grammar=json_grammar({"type": "boolean"}))
    generations = TransformersEngine(model, tokenizer).generate([request])
    texts = {tokenizer.decode(one.token_ids, skip_special_tokens=True) for one in generations}
    assert texts <= {"true", "false"}


def too_large_after_an_a() -> Grammar:
    """After "a" a thousand rules are open at once, more than a row of llguidance's parser may hold."""
    rules = "".join(f'r{index}: "x" r{index} "y" | "{index}"\n' for index in range(1000))
    names = " | ".join(f"r{index}" for index in range(1000))
    return Grammar(kind="lark", source=f'start: "q" | "a" s\ns: {names}\n{rules}')


def test_a_row_that_exceeds_the_limits_of_llguidance_goes_on_freely_and_says_so(
    model: Any, tokenizer: Any, forward_logprobs: Any
) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=6, n=8, temperature=9.0, grammar=too_large_after_an_a(), seed=0)
    generations = TransformersEngine(model, tokenizer).generate([request])
    beyond = [one for one in generations if one.token_ids[:1] == tuple(tokenizer.encode("a"))]
    assert 0 < len(beyond) < 8
    for generation in beyond:
        assert generation.log_z is not None and generation.grammar_error is not None
        assert generation.log_z[0] < 0 and set(generation.log_z[1:]) == {0.0} and generation.closed == 0
        expected = forward_logprobs(model, PROMPT, generation.token_ids, 9.0)
        assert torch.allclose(torch.tensor(generation.logprobs)[1:], expected[1:], atol=1e-4)
        assert "Current row has" in generation.grammar_error
        assert "\n" not in generation.grammar_error and "<state>" not in generation.grammar_error


class Exhausted:
    """A matcher whose back end gives up while it computes a mask."""

    is_over = False

    def mask(self) -> None:
        return None


def test_a_row_whose_mask_cannot_be_computed_is_free_and_not_forced_to_end() -> None:
    scores = torch.zeros(1, 400)
    matcher: Any = Exhausted()
    assert GrammarLogitsProcessor([matcher])(torch.tensor([PROMPT]), scores) is scores


def test_what_follows_the_end_of_a_row_is_not_held_against_it(model: Any, tokenizer: Any) -> None:
    short = Request(prompt_ids=PROMPT, max_new_tokens=1, n=8, temperature=9.0, grammar=too_large_after_an_a(), seed=0)
    # The batch goes on after it.
    longer = Request(prompt_ids=PROMPT, max_new_tokens=6, n=7, seed=0)
    generations = TransformersEngine(model, tokenizer).generate([short, longer])[:8]
    # What cannot be parsed cannot be closed either: the shortest sentence takes its place.
    assert {(one.finish, one.token_ids, one.grammar_error) for one in generations} == {
        ("length", tuple(tokenizer.encode("q")), None)
    }
    assert {one.closed for one in generations} == {0, 1}
