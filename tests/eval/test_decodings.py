"""Decodings as configurations name them: what cannot be meant is refused, and every preset can be decoded."""

from typing import Any

import pytest
from tiny_model import widen

from data.bundled_tasks import BundledJsonReader
from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.search.account import SearchBudget
from decoding.search.diverse_beam import BeamGroups
from decoding.search.registry import SearchConfig
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from eval.config import DecodingConfig, HeldoutConfig
from eval.decoders import DECODERS


def search(strategy: str = "best_of_n", **options: Any) -> SearchConfig:
    return SearchConfig(strategy=strategy, options=options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"search": search(samples=2, scorer="validity"), "beams": BeamGroups()}, "search and beams"),
        ({"budget": SearchBudget(max_tokens=5)}, "add search"),
        ({"search": search(samples=2, scorer="validty")}, "did you mean 'validity'"),
        ({"search": search("best_of", samples=2, scorer="validity")}, "best_of_n"),
        ({"search": search(samples=0, scorer="validity")}, "an integer from 1"),
        ({"search": search(samples=2, scorer="validity"), "temperature": 0.0}, "above 0"),
        ({"search": search(samples=2, scorer="grammar_mass")}, "grammar: true"),
        ({"search": search(samples=2, scorer={"name": "combined", "scorers": ["grammar_mass"]})}, "grammar: true"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_configured(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        DecodingConfig(**options)


def test_trees_and_beams_say_which_environments_they_need() -> None:
    heldout = HeldoutConfig(metrics=["valid"], decodings={"tree": DECODERS["reex_tree"]})
    with pytest.raises(ConfigurationError, match="answers no turns"):
        heldout.require(JsonEnvironment())
    tags: Any = {"step": "draft", "observation": "check", "answer": "answer"}
    stepwise = HeldoutConfig(metrics=["valid"], decodings={"beam": DECODERS["diverse_beam"]}, max_new_tokens=600)
    with pytest.raises(ConfigurationError, match="knows one turn"):
        stepwise.require(JsonEnvironment(tags=tags))


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "reex_tree"])
def test_every_preset_answers_every_task(name: str, tiny_model: Any) -> None:
    environment = JsonEnvironment()
    tasks = BundledJsonReader().read("heldout").tasks[:2]
    engine = TransformersEngine(
        widen(load_model(ModelConfig(reference=str(tiny_model)))), load_tokenizer(str(tiny_model))
    )
    heldout = HeldoutConfig(metrics=["valid"], max_new_tokens=12)
    decoder = DECODERS[name].decoder(engine, load_tokenizer(str(tiny_model)), environment, heldout, window=4096)
    finishes = list(decoder.stream(tasks, n=[1, 1], seed=0, most_rows=8))
    assert sorted(finish.place for finish in finishes) == [0, 1]
    assert all(len(finish.group.rollouts[0].completion_ids) > 0 for finish in finishes)
    spent = sum(finish.cost.generated_tokens for finish in finishes)
    assert spent >= sum(len(finish.group.rollouts[0].completion_ids) for finish in finishes) or name == "constrained"
