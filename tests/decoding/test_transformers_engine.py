"""The engine: its tokens, its recorded probabilities, and its independence of the batch."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from scipy.stats import chisquare
from transformers import AutoModelForCausalLM, BloomConfig, Lfm2Config, Mamba2Config, MistralConfig

from decoding.engine import Generation, Request
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from envs.grammar import Grammar

# Of different lengths, so that all but one are padded in a batch.
PROMPTS = ([5, 6, 7, 8], [9] * 12 + [10, 11, 12], [3, 20, 40, 41, 42, 300])
# Of different budgets, so that rows leave the batch at different times.
RAGGED = [
    Request(prompt_ids=prompt, max_new_tokens=24 - 8 * index, n=3, seed=index) for index, prompt in enumerate(PROMPTS)
]
SHAPE = {
    "vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2,
}  # fmt: skip


def assert_logprobs_are_those_of_a_forward(
    model: Any, requests: Sequence[Request], generations: Sequence[Generation], forward: Any, tolerance: float = 1e-4
) -> None:
    owners = [request for request in requests for _ in range(request.n)]
    for request, generation in zip(owners, generations, strict=True):
        expected = forward(model.eval(), request.prompt_ids, generation.token_ids, request.temperature)
        assert torch.allclose(torch.tensor(generation.logprobs), expected, atol=tolerance)
        assert generation.log_z is None


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
def test_recorded_logprobs_equal_a_forward_over_the_unpadded_sequence(
    model: Any, tokenizer: Any, forward_logprobs: Any, temperature: float
) -> None:
    requests = [replace(request, temperature=temperature) for request in RAGGED]
    generations = TransformersEngine(model, tokenizer).generate(requests)
    assert len({len(generation.token_ids) for generation in generations}) >= 3
    assert_logprobs_are_those_of_a_forward(model, requests, generations, forward_logprobs)


@pytest.mark.parametrize(
    "config",
    [
        MistralConfig(**SHAPE, sliding_window=6),
        Lfm2Config(**SHAPE, full_attn_idxs=[1], block_multiple_of=8),
    ],
    ids=["sliding window", "recurrent layer"],
)
def test_layers_that_forget_keep_the_right_things(
    tokenizer: Any, widen: Callable[[Any], Any], forward_logprobs: Any, config: Any
) -> None:
    model = widen(AutoModelForCausalLM.from_config(config))
    generations = TransformersEngine(model, tokenizer).generate(RAGGED)
    assert max(len(generation.token_ids) for generation in generations) > 12
    assert_logprobs_are_those_of_a_forward(model, RAGGED, generations, forward_logprobs)


def test_a_bfloat16_model_is_sampled_in_float32(model: Any, tokenizer: Any, forward_logprobs: Any) -> None:
    generations = TransformersEngine(model.bfloat16(), tokenizer).generate(RAGGED)
    assert_logprobs_are_those_of_a_forward(model, RAGGED, generations, forward_logprobs, tolerance=0.15)
    # From the very same logits: a softmax in bfloat16 would be off in the third digit.
    request = Request(prompt_ids=PROMPTS[0], max_new_tokens=1, temperature=0)
    (generation,) = TransformersEngine(model, tokenizer).generate([request])
    exact = forward_logprobs(model, PROMPTS[0], generation.token_ids, 1.0).item()
    assert generation.logprobs[0] == pytest.approx(exact, abs=1e-4)


def test_an_adapter_of_peft_is_sampled_as_one_model(model: Any, tokenizer: Any, forward_logprobs: Any) -> None:
    plain = TransformersEngine(model, tokenizer).generate(RAGGED)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    schema = Grammar(kind="json_schema", source='{"type": "boolean"}')
    masked = Request(prompt_ids=PROMPTS[0], max_new_tokens=8, grammar=schema, seed=0)
    *generations, boolean = TransformersEngine(adapted, tokenizer).generate([*RAGGED, masked])
    assert [one.token_ids for one in generations] != [one.token_ids for one in plain]
    assert_logprobs_are_those_of_a_forward(adapted, RAGGED, generations, forward_logprobs)
    assert tokenizer.decode(boolean.token_ids, skip_special_tokens=True) in ("true", "false")


def test_greedy_decoding_equals_generate(model: Any, tokenizer: Any) -> None:
    requests = [Request(prompt_ids=prompt, max_new_tokens=20, temperature=0) for prompt in PROMPTS]
    generations = TransformersEngine(model, tokenizer).generate(requests)
    for request, generation in zip(requests, generations, strict=True):
        expected = model.generate(torch.tensor([request.prompt_ids]), max_new_tokens=20, do_sample=False)
        assert list(generation.token_ids) == expected[0, len(request.prompt_ids) :].tolist()


@pytest.mark.parametrize("max_batch_rows", [1, 2, 4, 64])
def test_a_seeded_request_does_not_depend_on_its_batch(model: Any, tokenizer: Any, max_batch_rows: int) -> None:
    engine = TransformersEngine(model, tokenizer, max_batch_rows=max_batch_rows)
    together = engine.generate([Request(prompt_ids=[7] * 30, max_new_tokens=9, n=2), *RAGGED])[2:]
    alone = [
        generation for request in RAGGED for generation in TransformersEngine(model, tokenizer).generate([request])
    ]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]


def test_other_seeds_and_other_samples_give_other_texts(model: Any, tokenizer: Any) -> None:
    # 2**32 apart: seeds that differ in their upper half only are different seeds.
    requests = [Request(prompt_ids=PROMPTS[0], max_new_tokens=16, n=8, seed=seed) for seed in (0, 1, 2**32)]
    texts = {one.token_ids for one in TransformersEngine(model, tokenizer).generate(requests)}
    assert len(texts) == 24


def test_requests_without_a_seed_follow_the_state_of_torch(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPTS[0], max_new_tokens=16, n=2)
    torch.manual_seed(5)
    first, second = engine.generate([request]), engine.generate([request])
    torch.manual_seed(5)
    assert engine.generate([request]) == first != second


def test_seeded_and_greedy_requests_leave_the_state_of_torch_alone(model: Any, tokenizer: Any) -> None:
    before = torch.get_rng_state()
    TransformersEngine(model, tokenizer).generate([*RAGGED, replace(RAGGED[0], seed=None, temperature=0)])
    assert torch.equal(torch.get_rng_state(), before)


def test_first_tokens_are_distributed_as_the_softmax_says(model: Any, tokenizer: Any) -> None:
    n, temperature = 4000, 0.8
    request = Request(prompt_ids=PROMPTS[2], max_new_tokens=1, n=n, temperature=temperature, seed=0)
    generations = TransformersEngine(model, tokenizer, max_batch_rows=n).generate([request])
    counts = Counter(one.token_ids[0] for one in generations)
    with torch.no_grad():
        p = (model(torch.tensor([PROMPTS[2]])).logits[0, -1] / temperature).double().softmax(dim=0)
    frequent = [token for token in range(len(p)) if p[token] * n >= 5]
    observed = [counts[token] for token in frequent] + [n - sum(counts[token] for token in frequent)]
    expected = [p[token].item() * n for token in frequent] + [n * (1 - p[frequent].sum().item())]
    assert len(frequent) >= 20
    assert chisquare(observed, expected).pvalue > 0.01


def test_end_of_text_ends_a_generation_and_is_part_of_it(model: Any, tokenizer: Any) -> None:
    request = Request(prompt_ids=PROMPTS[0], max_new_tokens=40, n=64, temperature=2.0, seed=0)
    generations = TransformersEngine(model, tokenizer).generate([request])
    assert {one.finish for one in generations} == {"eos", "length"}
    for generation in generations:
        ends = [index for index, token in enumerate(generation.token_ids) if token == tokenizer.eos_token_id]
        assert ends == ([len(generation.token_ids) - 1] if generation.finish == "eos" else [])
        assert generation.finish == "eos" or len(generation.token_ids) == 40
        assert len(generation.logprobs) == len(generation.token_ids)


def test_every_end_that_the_generation_settings_name_ends_a_text(model: Any, tokenizer: Any) -> None:
    request = Request(prompt_ids=PROMPTS[0], max_new_tokens=12, temperature=0)
    (whole,) = TransformersEngine(model, tokenizer).generate([request])
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, whole.token_ids[4]]
    (cut,) = TransformersEngine(model, tokenizer).generate([request])
    assert cut.finish == "eos"
    assert cut.token_ids == whole.token_ids[: whole.token_ids.index(whole.token_ids[4]) + 1]


def test_a_stop_string_ends_a_generation_also_when_it_straddles_tokens(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPTS[1], max_new_tokens=24, n=16, seed=3)
    straddling = 0
    for whole in engine.generate([request]):
        texts = [tokenizer.decode([token]) for token in whole.token_ids]
        for index in range(1, len(texts)):
            stop = texts[index - 1][-1:] + texts[index][:1]
            if len(stop) < 2 or not stop.isascii() or whole.token_ids[index] in tokenizer.all_special_ids:
                continue
            before = tokenizer.decode(whole.token_ids[:index])
            if stop in before or stop in texts[index]:
                continue
            straddling += 1
            # The same seed and place, so the same text as far as the stop lets it come.
            alone = replace(request, stops=("no such tag", stop))
            assert whole.token_ids[: index + 1] in [
                one.token_ids for one in engine.generate([alone]) if one.finish == "stop"
            ]
            break
    assert straddling >= 3


def test_a_stop_in_the_first_token_leaves_that_token(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPTS[0], max_new_tokens=12, temperature=0)
    (whole,) = engine.generate([request])
    stop = tokenizer.decode(whole.token_ids[:1])
    (cut,) = engine.generate([replace(request, stops=(stop,))])
    assert (cut.finish, cut.token_ids) == ("stop", whole.token_ids[:1])


@pytest.mark.parametrize("is_training", [True, False])
def test_the_mode_of_every_module_is_restored(model: Any, tokenizer: Any, is_training: bool) -> None:
    model.train(is_training)
    model.model.layers[0].eval()  # a frozen part
    before = [module.training for module in model.modules()]
    engine = TransformersEngine(model, tokenizer)
    engine.generate([Request(prompt_ids=PROMPTS[0], max_new_tokens=2)])
    assert [module.training for module in model.modules()] == before
    with pytest.raises(IndexError):
        engine.generate([Request(prompt_ids=[10_000], max_new_tokens=2)])
    assert [module.training for module in model.modules()] == before


def test_dropout_is_off_while_sampling(tokenizer: Any, widen: Any, forward_logprobs: Any) -> None:
    model = widen(AutoModelForCausalLM.from_config(MistralConfig(**SHAPE, attention_dropout=0.9))).train()
    generations = TransformersEngine(model, tokenizer).generate(RAGGED)
    assert_logprobs_are_those_of_a_forward(model, RAGGED, generations, forward_logprobs)


def test_no_requests_give_no_generations(model: Any, tokenizer: Any) -> None:
    assert TransformersEngine(model, tokenizer).generate([]) == []


def test_a_diverged_model_is_an_error_and_not_a_text(model: Any, tokenizer: Any) -> None:
    model.model.norm.weight.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="not numbers after 0 tokens"):
        TransformersEngine(model, tokenizer).generate([Request(prompt_ids=PROMPTS[0], max_new_tokens=4)])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Mamba2Config(vocab_size=400, hidden_size=32, num_heads=8, head_dim=8, n_groups=1, num_hidden_layers=1),
            "Mamba2ForCausalLM .* lacks past_key_values",
        ),
        (BloomConfig(vocab_size=400, hidden_size=32, n_head=4, n_layer=1), "BloomForCausalLM .* lacks position_ids"),
    ],
    ids=["no cache", "no position ids"],
)
def test_a_model_that_cannot_keep_ragged_rows_is_refused(tokenizer: Any, config: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TransformersEngine(AutoModelForCausalLM.from_config(config), tokenizer)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt_ids": []}, {"max_new_tokens": 0}, {"n": 0}, {"temperature": -0.1}, {"temperature": math.nan},
        {"stops": ("</sql>", "")},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_that_cannot_be_met_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Request(**{"prompt_ids": [5], "max_new_tokens": 4, **changes})


def test_a_batch_of_no_rows_is_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="max_batch_rows"):
        TransformersEngine(model, tokenizer, max_batch_rows=0)
