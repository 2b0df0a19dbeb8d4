"""Sessions: what is written in many turns of ragged rows is what the model alone would have written of each text."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from session_turns import run_turn
from transformers import AutoModelForCausalLM, Gemma3TextConfig, Lfm2Config, MistralConfig, Qwen3Config

from decoding.cached_session import CachedSession
from decoding.engine import Generation, Request
from decoding.replay_session import ReplaySession
from decoding.transformers_engine import TransformersEngine

SHAPE = {
    "vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2,
}  # fmt: skip
CONFIGS = {
    "sliding": MistralConfig(**SHAPE, sliding_window=6),
    "full and sliding": Gemma3TextConfig(
        **SHAPE, head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"]
    ),
    "query norms": Qwen3Config(**SHAPE, head_dim=16),
    "additive mask": MistralConfig(**SHAPE, sliding_window=None, attn_implementation="eager"),
    "recurrent": Lfm2Config(**SHAPE, full_attn_idxs=[1], block_multiple_of=8),
}
PROMPT = [5, 6, 7, 8, 9, 10, 11]
# More than any of these conversations takes: one that makes no progress is to fail, not to hang.
MOST_STEPS = 400


@dataclass
class Turn:
    """A turn, and all that stood before it."""

    before: list[int]
    generation: Generation
    temperature: float


class Conversation:
    """Drives a session with observations of random length, forks and rows that leave and join, from one seed."""

    def __init__(self, session: Any, *, seed: int, temperature: float = 1.0) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.temperature = temperature
        self.texts: dict[int, list[int]] = {}
        self.turns: list[Turn] = []
        self.left = {"joins": 3, "forks": 4, "extensions": 14}

    def run(self) -> list[Turn]:
        self.join()
        for _ in range(MOST_STEPS):
            for row, generation in self.session.step():
                self.turns.append(Turn([*self.texts[row]], generation, self.temperature))
                self.texts[row].extend(generation.token_ids)
                self.go_on(row)
        assert self.session.is_idle and self.session.step() == []
        return self.turns

    def take(self, what: str) -> bool:
        self.left[what] -= 1
        return self.left[what] >= 0

    def tokens(self, most: int) -> list[int]:
        return [self.random.randrange(3, 400) for _ in range(self.random.randrange(most + 1))]

    def join(self) -> None:
        request = Request(
            prompt_ids=[3, *self.tokens(12)], max_new_tokens=self.random.randrange(1, 9), n=3, seed=len(self.turns),
            temperature=self.temperature,
        )  # fmt: skip
        self.texts.update((row, list(request.prompt_ids)) for row in self.session.open(request))

    def go_on(self, row: int) -> None:
        if self.random.random() < 0.3 and self.take("joins"):
            self.join()
        if self.random.random() < 0.5 and self.take("forks"):
            fork = self.session.fork(row, seed=row)
            self.texts[fork] = [*self.texts[row]]
            self.extend(fork)
        if self.take("extensions"):
            self.extend(row)
        else:
            self.session.close(row)

    def extend(self, row: int) -> None:
        observation = self.tokens(9)
        self.texts[row].extend(observation)
        self.session.extend(row, observation, max_new_tokens=self.random.randrange(1, 9))


def converse(engine: TransformersEngine, **options: Any) -> list[Turn]:
    with engine.session() as session:
        return Conversation(session, **options).run()


def assert_turns_are_the_models(model: Any, turns: list[Turn], forward: Any, tolerance: float = 1e-4) -> None:
    assert len(turns) >= 18 and len({len(turn.before) for turn in turns}) >= 6
    for turn in turns:
        assert turn.generation.token_ids
        expected = forward(model, turn.before, turn.generation.token_ids, turn.temperature)
        assert torch.allclose(torch.tensor(turn.generation.logprobs), expected, atol=tolerance)


@pytest.mark.parametrize("max_batch_rows", [1, 3, 64])
def test_logprobs_of_every_turn_equal_a_forward_over_the_whole_text(
    model: Any, tokenizer: Any, forward_logprobs: Any, max_batch_rows: int
) -> None:
    engine = TransformersEngine(model, tokenizer, max_batch_rows=max_batch_rows)
    for seed in range(3):
        assert_turns_are_the_models(model.eval(), converse(engine, seed=seed, temperature=0.7), forward_logprobs)


@pytest.mark.parametrize("kind", CONFIGS)
def test_all_kinds_of_layers_keep_the_right_things_across_turns(
    tokenizer: Any, widen: Callable[[Any], Any], forward_logprobs: Any, kind: str
) -> None:
    model = widen(AutoModelForCausalLM.from_config(CONFIGS[kind])).eval()
    engine = TransformersEngine(model, tokenizer, max_batch_rows=4)
    with engine.session() as session:
        assert isinstance(session, ReplaySession if kind == "recurrent" else CachedSession)
    turns = converse(engine, seed=1)
    assert_turns_are_the_models(model, turns, forward_logprobs)
    assert max(len(turn.before) for turn in turns) > 12


def test_an_adapter_and_a_narrow_type_keep_their_turns(model: Any, tokenizer: Any, forward_logprobs: Any) -> None:
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).eval()
    assert_turns_are_the_models(adapted, converse(TransformersEngine(adapted, tokenizer), seed=2), forward_logprobs)
    narrow = adapted.bfloat16()
    turns = converse(TransformersEngine(narrow, tokenizer), seed=2)
    assert_turns_are_the_models(narrow, turns, forward_logprobs, tolerance=0.15)


@pytest.mark.parametrize("kind", ["cached", "replayed"])
def test_greedy_turns_equal_generate_from_scratch(model: Any, tokenizer: Any, kind: str) -> None:
    engine = TransformersEngine(model, tokenizer, max_batch_rows=3)
    session = engine.session() if kind == "cached" else ReplaySession(engine.generate)
    with session:
        turns = Conversation(session, seed=4, temperature=0.0).run()
    for turn in turns:
        before = torch.tensor([turn.before])
        expected = model.generate(
            before, attention_mask=torch.ones_like(before), max_new_tokens=len(turn.generation.token_ids),
            do_sample=False,
        )  # fmt: skip
        assert list(turn.generation.token_ids) == expected[0, len(turn.before) :].tolist()


def test_what_rows_draw_does_not_depend_on_the_room_that_they_have(model: Any, tokenizer: Any) -> None:
    def draw(max_batch_rows: int) -> dict[int, list[tuple[int, ...]]]:
        written: dict[int, list[tuple[int, ...]]] = {}
        with TransformersEngine(model, tokenizer, max_batch_rows=max_batch_rows).session() as session:
            for seed, length in enumerate((7, 2, 4)):
                session.open(Request(prompt_ids=PROMPT[:length], max_new_tokens=3 + seed, n=3, seed=seed))
            for turn in range(3):
                for row, generation in sorted(run_turn(session, most_steps=MOST_STEPS).items()):
                    written.setdefault(row, []).append(generation.token_ids)
                    if turn < 2:
                        session.extend(row, [20 + row] * (row % 3), max_new_tokens=2 + row % 4)
        return written

    wide = draw(64)
    assert len(wide) == 9 and all(len(turns) == 3 for turns in wide.values())
    assert draw(2) == draw(5) == wide


def test_a_random_stream_goes_on_in_the_next_turn(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=12, n=6, seed=3)
    whole = engine.generate([request])
    with engine.session() as session:
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=5, n=6, seed=3))
        first = run_turn(session, most_steps=MOST_STEPS)
        for row, generation in first.items():
            if generation.finish == "length":
                session.extend(row, (), max_new_tokens=7)
        second = run_turn(session, most_steps=MOST_STEPS)
    assert len(second) >= 4
    for row, generation in second.items():
        assert (*first[row].token_ids, *generation.token_ids) == whole[row].token_ids
        assert generation.finish == whole[row].finish


@pytest.mark.parametrize("kind", ["cached", "replayed"])
def test_forks_with_other_seeds_write_other_texts_and_leave_their_parent_alone(
    model: Any, tokenizer: Any, kind: str
) -> None:
    engine = TransformersEngine(model, tokenizer)

    def last_turns(seeds: list[int]) -> list[tuple[int, ...]]:
        with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
            (parent,) = session.open(Request(prompt_ids=PROMPT, max_new_tokens=4, seed=0))
            run_turn(session, most_steps=MOST_STEPS)
            rows = [*(session.fork(parent, seed=seed) for seed in seeds), parent]
            for row in rows:
                session.extend(row, [20], max_new_tokens=12)
            done = run_turn(session, most_steps=MOST_STEPS)
            return [done[row].token_ids for row in rows]

    *forks, parent = last_turns([0, 1, 1, 2**40])
    assert forks[1] == forks[2]
    assert len({*forks, parent}) == 4
    assert last_turns([]) == [parent]


def test_rows_without_a_seed_draw_in_the_order_of_their_numbers(model: Any, tokenizer: Any) -> None:
    def write(short: int) -> tuple[int, ...]:
        torch.manual_seed(0)
        with TransformersEngine(model, tokenizer).session() as session:
            # A seeded row that ends moves others to its place.
            session.open(Request(prompt_ids=PROMPT, max_new_tokens=short, seed=1))
            rows = session.open(Request(prompt_ids=PROMPT, max_new_tokens=8, n=3))
            done = run_turn(session, most_steps=MOST_STEPS)
        return tuple(token for row in rows for token in done[row].token_ids)

    assert write(1) == write(3) == write(8)


def test_a_turn_stops_at_a_string_of_its_own_only(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=10, temperature=0)
    (whole,) = engine.generate([request])
    texts = [tokenizer.decode([token]) for token in whole.token_ids]
    split = next(
        index for index in range(2, 9)
        if texts[index - 1].isascii() and texts[index].isascii() and texts[index]
        and "".join(texts).count(texts[index - 1][-1:] + texts[index]) == 1
    )  # fmt: skip
    stop = texts[split - 1][-1:] + texts[split]
    # In one turn it is found, also where that paused within it; where it began in what others wrote, it is not.
    stopping = Request(prompt_ids=PROMPT, max_new_tokens=10, temperature=0, stops=(stop,))
    (cut,) = engine.generate([stopping])
    assert (cut.finish, cut.token_ids) == ("stop", whole.token_ids[: split + 1])
    for written in (split, 1):
        with engine.session() as session:
            (row,) = session.open(Request(prompt_ids=PROMPT, max_new_tokens=written, temperature=0, stops=(stop,)))
            run_turn(session, most_steps=MOST_STEPS)
            session.extend(row, whole.token_ids[written:split], max_new_tokens=10 - split)
            turn = run_turn(session, most_steps=MOST_STEPS)[row]
        expected = (
            ("stop", whole.token_ids[split : split + 1]) if written == split else ("length", whole.token_ids[split:])
        )
        assert (turn.finish, turn.token_ids) == expected


@pytest.mark.parametrize("kind", ["cached", "replayed"])
def test_what_a_row_cannot_do_now_is_an_error_of_the_caller(model: Any, tokenizer: Any, kind: str) -> None:
    engine = TransformersEngine(model, tokenizer)
    with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
        (row,) = session.open(Request(prompt_ids=PROMPT, max_new_tokens=2, seed=0))
        acts = [lambda: session.extend(row, [20], max_new_tokens=2)]
        if kind == "replayed":
            acts += [lambda: session.fork(row, seed=0), lambda: session.close(row)]
        for act in acts:
            with pytest.raises(ValueError, match="row 0 is in a turn"):
                act()
        run_turn(session, most_steps=MOST_STEPS)
        with pytest.raises(ValueError, match="max_new_tokens >= 1, got 0"):
            session.extend(row, [20], max_new_tokens=0)


def test_a_session_leaves_the_model_as_it_was(model: Any, tokenizer: Any) -> None:
    model.train()
    model.model.layers[0].eval()  # a frozen part
    before = [module.training for module in model.modules()]
    engine = TransformersEngine(model, tokenizer)
    with pytest.raises(IndexError), engine.session() as session:
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=2))
        session.step()
        assert not any(module.training for module in model.modules())
        session.open(Request(prompt_ids=[10_000], max_new_tokens=2))
        session.step()
    assert [module.training for module in model.modules()] == before


def test_a_session_that_was_not_entered_makes_nothing(model: Any, tokenizer: Any) -> None:
    session = TransformersEngine(model, tokenizer).session()
    session.open(Request(prompt_ids=PROMPT, max_new_tokens=2))
    with pytest.raises(RuntimeError, match="enter it"):
        session.step()


def test_a_replayed_turn_is_a_request_with_all_that_was_said_and_a_seed_of_its_own() -> None:
    asked: list[Request] = []

    def generate(requests: Sequence[Request]) -> list[Generation]:
        asked.extend(requests)
        return [Generation(token_ids=(50,), logprobs=(-1.0,), log_z=None, finish="length") for _ in requests]

    for _ in range(2):
        with ReplaySession(generate) as session:
            session.open(Request(prompt_ids=PROMPT, max_new_tokens=1, n=2, seed=3, stops=("x",), temperature=0.5))
            assert [row for row, _ in session.step()] == [0, 1]
            session.extend(1, [20, 21], max_new_tokens=7)
            session.step()
    assert asked[:3] == asked[3:]
    first, second, later = asked[:3]
    assert len({request.seed for request in asked}) == 3
    assert first.prompt_ids == second.prompt_ids == tuple(PROMPT)
    assert (later.prompt_ids, later.max_new_tokens) == ((*PROMPT, 50, 20, 21), 7)
    assert all((one.n, one.stops, one.temperature) == (1, ("x",), 0.5) for one in asked)
