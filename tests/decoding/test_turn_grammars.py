"""Turns under grammars: each is held to its own, whatever was forced, forked, continued or read beside it."""

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from session_turns import run_turn
from transformers import AutoModelForCausalLM, Lfm2Config

from decoding.engine import Generation, Request
from decoding.grammars.compiler import GrammarCompiler, shared_compiler
from decoding.replay_session import ReplaySession
from decoding.slot_reading import STEP_TOKENS
from decoding.token_sampler import Drawn
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.grammar import Grammar

PROMPT = [5, 6, 7, 8, 9, 10, 11]
MOST_STEPS = 300
NAMES = Grammar(
    kind="json_schema",
    source=json.dumps(
        {
            "type": "object",
            "properties": {"surname": {"type": "string", "maxLength": 3}, "member": {"type": "boolean"}},
            "required": ["surname", "member"],
            "additionalProperties": False,
        }
    ),
)
DIGITS = Grammar(kind="regex", source="[0-9]{1,4}(, [0-9]{1,4}){1,3}")
WORDS = Grammar(kind="choice", source='["certainly", "certainty", "no"]')
GRAMMARS = [None, NAMES, DIGITS, WORDS]


def assert_turn_is_the_grammars(
    model: Any, tokenizer: Any, before: list[int], generation: Generation, grammar: Grammar, temperature: float
) -> None:
    """By one forward over the whole text, and a mask at each of its places."""
    ids = list(generation.token_ids)
    with torch.no_grad():
        logits = model(torch.tensor([[*before, *ids]])).logits[0, len(before) - 1 : -1]
    log_p = (logits / temperature).double().log_softmax(dim=-1)
    matcher = shared_compiler(tokenizer, end_ids=end_ids(model, tokenizer)).compile(grammar).matcher()
    assert generation.grammar == grammar and generation.grammar_error is None and generation.log_z is not None
    for place in range(len(ids) - generation.closed):
        words = matcher.mask()
        assert words is not None
        allowed = [token for token in range(400) if words[token // 32] >> token % 32 & 1]
        assert ids[place] in allowed
        log_z = log_p[place, allowed].logsumexp(dim=0).item()
        assert generation.log_z[place] == pytest.approx(log_z, abs=1e-4)
        assert generation.logprobs[place] == pytest.approx(log_p[place, ids[place]].item() - log_z, abs=1e-4)
        matcher.consume(ids[place : place + 1])
    matcher.consume(ids[len(ids) - generation.closed :])
    assert matcher.is_accepting
    assert set(generation.logprobs[len(ids) - generation.closed :]) <= {0.0}


@pytest.mark.parametrize("skips_forced", [True, False])
@pytest.mark.parametrize("max_batch_rows", [2, 64])
def test_every_turn_is_held_to_its_own_grammar_and_log_z_is_exact(
    model: Any, tokenizer: Any, skips_forced: bool, max_batch_rows: int
) -> None:
    engine = TransformersEngine(model, tokenizer, max_batch_rows=max_batch_rows, skips_forced=skips_forced)
    draw = random.Random(0)
    texts: dict[int, list[int]] = {}
    grammars: dict[int, Grammar | None] = {}
    ended = []
    with engine.session() as session:
        for grammar in GRAMMARS:
            request = Request(prompt_ids=PROMPT, max_new_tokens=30, n=2, seed=1, temperature=2.0, grammar=grammar)
            for row in session.open(request):
                texts[row], grammars[row] = list(PROMPT), grammar
        for turn in range(3):
            for row, generation in run_turn(session, most_steps=MOST_STEPS).items():
                ended.append((grammars[row], texts[row], generation))
                said = [*texts[row], *generation.token_ids]
                if turn == 2:
                    session.close(row)
                    continue
                for fork in [row, session.fork(row, seed=row)] if len(texts) < 16 else [row]:
                    observation = [draw.randrange(3, 400) for _ in range(draw.randrange(1, 6))]
                    texts[fork], grammars[fork] = [*said, *observation], draw.choice(GRAMMARS)
                    most = draw.choice([22, 40])
                    session.extend(fork, observation, max_new_tokens=most, grammar=grammars[fork])
    assert len(ended) > 30 and len({grammar for grammar, _, _ in ended}) == 4
    assert any(generation.closed for _, _, generation in ended)
    for grammar, before, generation in ended:
        if grammar is None:
            assert generation.grammar is None and generation.log_z is None
        else:
            assert_turn_is_the_grammars(model, tokenizer, before, generation, grammar, 2.0)


def test_forced_tokens_take_no_step_and_no_random_number(model: Any, tokenizer: Any) -> None:
    steps = []
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=30, seed=0, temperature=2.0, grammar=NAMES)
    counts: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda module, inputs, options: counts.append(options["input_ids"].numel()), with_kwargs=True
    )
    for skips_forced in (True, False):
        counts.clear()
        engine = TransformersEngine(model, tokenizer, skips_forced=skips_forced)
        (generation,) = engine.generate([request])
        steps.append(len(counts))
        # All is read once, but for the last token.
        assert sum(counts) == len(PROMPT) + len(generation.token_ids) - 1
        if skips_forced:
            free = sum(logprob != 0 for logprob in generation.logprobs)
            assert len(counts) <= free + 2
    handle.remove()
    assert steps[0] < steps[1] / 2


def test_a_text_that_is_forced_as_a_whole_is_scored(model: Any, tokenizer: Any) -> None:
    grammar = Grammar(kind="choice", source='["a single answer"]')
    request = Request(prompt_ids=PROMPT, max_new_tokens=40, n=3, grammar=grammar)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        assert (generation.finish, set(generation.logprobs)) == ("eos", {0.0})
        assert_turn_is_the_grammars(model.eval(), tokenizer, PROMPT, generation, grammar, 1.0)


def test_a_run_that_finds_no_room_in_a_step_is_read_in_several(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=30, n=4, seed=0, temperature=2.0, grammar=NAMES)
    expected = TransformersEngine(model, tokenizer).generate([request])
    monkeypatch.setitem(STEP_TOKENS, "cpu", 0)
    for rows in (1, 3):
        generations = TransformersEngine(model, tokenizer, max_batch_rows=rows).generate([request])
        assert [one.token_ids for one in generations] == [one.token_ids for one in expected]
        for generation in generations:
            assert_turn_is_the_grammars(model.eval(), tokenizer, PROMPT, generation, NAMES, 2.0)


@pytest.mark.parametrize("stop", ["surname", '": "', "true"])
def test_a_stop_within_what_is_forced_ends_the_turn_there_and_it_goes_on_from_there(
    model: Any, tokenizer: Any, stop: str
) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=40, n=4, seed=0, temperature=2.0, stops=(stop,), grammar=NAMES)
    with TransformersEngine(model, tokenizer).session() as session:
        session.open(request)
        turns = run_turn(session, most_steps=MOST_STEPS)
        assert sum(turn.finish == "stop" for turn in turns.values()) >= 1
        for row, turn in turns.items():
            text = tokenizer.decode(turn.token_ids)
            assert text.count(stop) == (turn.finish == "stop")
            if turn.finish == "stop":
                assert stop not in tokenizer.decode(turn.token_ids[:-1])
                session.extend(row, (), max_new_tokens=40)
        for row, rest in run_turn(session, most_steps=MOST_STEPS).items():
            merged = Generation(
                token_ids=turns[row].token_ids + rest.token_ids,
                logprobs=turns[row].logprobs + rest.logprobs,
                log_z=(turns[row].log_z or ()) + (rest.log_z or ()),
                finish=rest.finish,
                grammar=rest.grammar,
            )
            if rest.finish == "eos":
                assert_turn_is_the_grammars(model, tokenizer, PROMPT, merged, NAMES, 2.0)


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_a_fork_in_the_midst_of_a_turn_has_all_that_was_written_and_recorded(
    model: Any, tokenizer: Any, steps: int
) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=60, n=2, seed=0, temperature=2.0, grammar=NAMES)
    alone = TransformersEngine(model, tokenizer).generate([request])
    with TransformersEngine(model, tokenizer, max_batch_rows=3).session() as session:
        first, second = session.open(request)
        for _ in range(steps):
            assert session.step() == []
        forks = [session.fork(first, seed=seed) for seed in range(3)]
        assert {session.log_weight(fork) for fork in forks} == {session.log_weight(first)}
        session.close(forks.pop())
        done = run_turn(session, most_steps=MOST_STEPS)
    assert [done[first].token_ids, done[second].token_ids] == [one.token_ids for one in alone]
    for row in forks:
        assert_turn_is_the_grammars(model, tokenizer, PROMPT, done[row], NAMES, 2.0)
    assert len({done[row].token_ids for row in (first, *forks)}) >= 2


def test_the_weight_of_a_row_is_the_mass_that_was_allowed_to_it(model: Any, tokenizer: Any) -> None:
    request = Request(prompt_ids=PROMPT, max_new_tokens=40, seed=0, temperature=2.0, grammar=DIGITS)
    with TransformersEngine(model, tokenizer).session() as session:
        (row,) = session.open(request)
        assert session.log_weight(row) == 0.0
        weights = []
        while not (ended := session.step()):
            weights.append(session.log_weight(row))
        ((_, generation),) = ended
        assert session.log_weight(row) == pytest.approx(sum(generation.log_z or ()))
    assert sorted(weights, reverse=True) == weights and weights[-1] < weights[0] < 0


@pytest.mark.parametrize("kind", ["cached", "replayed", "recurrent"])
def test_a_turn_goes_on_under_the_grammar_that_it_has(
    model: Any, tokenizer: Any, widen: Callable[[Any], Any], kind: str
) -> None:
    if kind == "recurrent":
        config = Lfm2Config(
            vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, pad_token_id=0, bos_token_id=None, eos_token_id=2, full_attn_idxs=[1],
            block_multiple_of=8,
        )  # fmt: skip
        model = widen(AutoModelForCausalLM.from_config(config)).eval()
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=40, n=3, seed=0, temperature=2.0, stops=(",",), grammar=DIGITS)
    with ReplaySession(engine.generate) if kind == "replayed" else engine.session() as session:
        pieces: dict[int, list[Generation]] = {row: [] for row in session.open(request)}
        for _ in range(6):
            for row, generation in run_turn(session, most_steps=MOST_STEPS).items():
                pieces[row].append(generation)
                if generation.finish == "stop":
                    session.extend(row, (), max_new_tokens=40, grammar=WORDS)
        for row in pieces:
            session.extend(row, [20], max_new_tokens=40, grammar=WORDS)
        words = run_turn(session, most_steps=MOST_STEPS)
    for row, generations in pieces.items():
        assert len(generations) >= 2
        merged = Generation(
            token_ids=tuple(token for one in generations for token in one.token_ids),
            logprobs=tuple(value for one in generations for value in one.logprobs),
            log_z=tuple(value for one in generations for value in one.log_z or ()),
            finish="eos",
            grammar=DIGITS,
        )
        assert_turn_is_the_grammars(model.eval(), tokenizer, PROMPT, merged, DIGITS, 2.0)
        before = [*PROMPT, *merged.token_ids, 20]
        assert_turn_is_the_grammars(model, tokenizer, before, words[row], WORDS, 2.0)


class Recorder:
    """Takes the most probable token that the mask allows, every row's fifth token gives it up."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, tuple[int, ...], float]] = []

    def draw(self, row: int, written: tuple[int, ...], matcher: Any, log_p: torch.Tensor, uniform: float) -> Drawn:
        self.calls.append((row, written, uniform))
        assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-4)
        words = matcher.mask()
        allowed = [token for token in range(400) if words[token // 32] >> token % 32 & 1]
        token = max(allowed, key=lambda one: log_p[one].item())
        return Drawn(token=token, logprob=-0.25, log_weight=-0.5, ends_row=row == 1 and len(written) == 4)


@pytest.mark.parametrize("is_recurrent", [False, True])
def test_a_sampler_draws_the_tokens_of_its_rows(
    model: Any, tokenizer: Any, widen: Callable[[Any], Any], is_recurrent: bool
) -> None:
    sampler = Recorder()
    own = Request(prompt_ids=PROMPT, max_new_tokens=9, n=2, seed=0, grammar=DIGITS, sampler=sampler)
    free = Request(prompt_ids=PROMPT, max_new_tokens=9, n=2, seed=0)
    engine = TransformersEngine(model, tokenizer)
    if is_recurrent:
        generations = engine._sampler(engine._cached_session()._model)
        with generations._model:
            first, second, *others = generations.generate([own, free])
    else:
        first, second, *others = engine.generate([own, free])
    assert [one.token_ids for one in others] == [one.token_ids for one in engine.generate([free])]
    assert second.finish == "rejected" and len(second.token_ids) == 5
    assert set(second.logprobs) == {-0.25} and set(second.log_z or ()) == {-0.5}
    assert first.finish in ("eos", "length")
    for row, generation in enumerate((first, second)):
        drawn = len(generation.token_ids) - generation.closed
        written = [call[1] for call in sampler.calls if call[0] == row]
        assert written[:drawn] == [generation.token_ids[:place] for place in range(drawn)]
    assert len({uniform for _, _, uniform in sampler.calls}) == len(sampler.calls)


def test_rows_do_not_wait_for_a_slow_compilation_while_others_decode(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    compile_now = GrammarCompiler.compile

    def compile_later(self: GrammarCompiler, grammar: Grammar) -> Any:
        assert go.wait(20)
        return compile_now(self, grammar)

    monkeypatch.setattr(GrammarCompiler, "compile", compile_later)
    monkeypatch.setattr("decoding.cached_session.COMPILE_GRACE", 0.0)
    with TransformersEngine(model, tokenizer).session() as session:
        (masked,) = session.open(Request(prompt_ids=PROMPT, max_new_tokens=30, seed=0, grammar=WORDS))
        (free,) = session.open(Request(prompt_ids=PROMPT, max_new_tokens=5, seed=0))
        done = [row for _ in range(5) for row, _ in session.step()]
        assert done == [free]
        go.set()
        assert_turn_is_the_grammars(
            model, tokenizer, PROMPT, run_turn(session, most_steps=MOST_STEPS)[masked], WORDS, 1.0
        )
