"""Diverse beam search against all texts there are, on a small model: what it finds, records, and how groups differ."""

import itertools
import json
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from scripted import Echo, ScriptedEngine
from tree_models import VOCABULARY, wide_model

from decoding.budgets import Budgets
from decoding.decoder import Decoding
from decoding.engine import Request
from decoding.forward import SampledModel
from decoding.grammars.compiler import shared_compiler
from decoding.search.diverse_beam import BeamGroups, BeamSearcher, Opening
from decoding.search.diverse_beam_batch import search_beams
from decoding.search.diverse_beam_decoder import DiverseBeamDecoder
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.grammar import Grammar
from envs.task import Task

WORDS = ["on", "one", "oh no", "a", "at", "as if", "if"]
CHOICE = Grammar(kind="choice", source=json.dumps(WORDS))
END = 0
TASKS = [Task(id="which word is it?"), Task(id="on")]


@dataclass(kw_only=True)
class Quiet(Echo):
    """Answers nothing; what begins with the same letter means the same."""

    name = "quiet"
    stops = ()

    def examine(self, episodes: Any) -> list[Examination]:
        return [Examination(answer=text.text, digest=text.text[:1], is_valid=True) for _, text in episodes]


def decoder(
    model: Any, tokenizer: Any, *, language: Grammar | None = None, tokens: int = 8, select: Any = "best", **groups: Any
) -> DiverseBeamDecoder:
    return DiverseBeamDecoder(
        engine=TransformersEngine(model, tokenizer),
        tokenizer=tokenizer,
        environment=Quiet(language=None if language is None else lambda transcript: language),
        budgets=Budgets(max_new_tokens=tokens),
        groups=BeamGroups(**groups),
        grammar=language is not None,
        select=select,
    )


def texts(decoding: Decoding, place: int = 0) -> list[tuple[int, ...]]:
    return [tuple(rollout.completion_ids) for rollout in decoding.groups[place].rollouts]


def log_p_of_words(model: Any, tokenizer: Any, prompt: list[int]) -> dict[tuple[int, ...], float]:
    """log p of every text that the masks of CHOICE allow, each by forwards of its own."""
    ends = end_ids(model, tokenizer)
    compiled = shared_compiler(tokenizer, end_ids=ends).compile(CHOICE)
    found = {}
    todo: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    while todo:
        text, log_p = todo.pop()
        matcher = compiled.matcher()
        matcher.consume(text)
        with torch.no_grad():
            after = model(torch.tensor([[*prompt, *text]])).logits[0, -1].double().log_softmax(dim=0)
        words = matcher.mask()
        assert words is not None
        for token in range(len(after)):
            if words[token >> 5] >> (token & 31) & 1:
                longer = ((*text, token), log_p + float(after[token]))
                if token in ends:
                    found[longer[0]] = longer[1]
                else:
                    todo.append(longer)
    return found


def test_one_group_of_enough_beams_finds_the_most_probable_texts_of_a_grammar(model: Any, tokenizer: Any) -> None:
    decoding = decoder(model, tokenizer, language=CHOICE, beams=24).decode(TASKS, n=[5, 3])
    for place, group in enumerate(decoding.groups):
        log_p = log_p_of_words(model, tokenizer, list(group.rollouts[0].prompt_ids))
        assert len(log_p) >= 10
        # The beams of both tasks are one batch with prompts of different length.
        assert texts(decoding, place) == sorted(log_p, key=lambda text: -log_p[text])[: len(group.rollouts)]
        for rollout in group.rollouts:
            assert rollout.log_z is not None and rollout.grammar_error is None and rollout.finish == "eos"
            recorded = sum(rollout.logprobs) + sum(rollout.log_z)
            assert recorded == pytest.approx(log_p[tuple(rollout.completion_ids)], abs=1e-4)
            assert rollout.transcript.text in WORDS


@pytest.mark.parametrize("name", ["llama", "mistral sliding", "gemma3"])
def test_one_group_that_keeps_every_beginning_finds_the_most_probable_pairs(name: str) -> None:
    model = wide_model(name).eval()
    prompts = [[5, 6, 7, 8, 9, 10], [11, 12]]
    openings = [Opening(prompt_ids=prompt, max_new_tokens=2) for prompt in prompts]
    with SampledModel(model, None) as sampled:
        searchers = search_beams(sampled, openings, BeamGroups(beams=VOCABULARY), [END])
    for prompt, searcher in zip(prompts, searchers, strict=True):
        with torch.no_grad():
            first = model(torch.tensor([prompt])).logits[0, -1].double().log_softmax(dim=0)
            pairs = torch.tensor([[*prompt, token] for token in range(VOCABULARY)])
            second = model(pairs).logits[:, -1].double().log_softmax(dim=1)
        log_p: dict[tuple[int, ...], float] = {(END,): float(first[END])}
        for one, other in itertools.product(set(range(VOCABULARY)) - {END}, range(VOCABULARY)):
            log_p[one, other] = float(first[one] + second[one, other])
        best = sorted(log_p, key=lambda text: -log_p[text])[:VOCABULARY]
        assert [beam.token_ids for beam in searcher.beams[:5]] == best[:5]
        found = [beam.log_p for beam in searcher.beams]
        assert found == pytest.approx([log_p[text] for text in best], abs=1e-4)
        assert [sum(beam.logprobs) for beam in searcher.beams] == pytest.approx(found)
        assert searcher.written == 2 * VOCABULARY - ((END,) in best)


def test_one_beam_is_greedy_decoding_and_records_the_same(model: Any, tokenizer: Any) -> None:
    searched = decoder(model, tokenizer, tokens=12, beams=1)
    (group,) = searched.decode(TASKS[:1], n=[1]).groups
    request = Request(prompt_ids=group.rollouts[0].prompt_ids, max_new_tokens=12, temperature=0.0)
    (greedy,) = searched.engine.generate([request])
    assert tuple(group.rollouts[0].completion_ids) == greedy.token_ids
    assert list(group.rollouts[0].logprobs) == pytest.approx(greedy.logprobs, abs=1e-4)
    assert group.rollouts[0].finish == greedy.finish


@pytest.mark.parametrize("language", [None, CHOICE])
def test_without_diversity_every_group_finds_the_same_and_costs_nothing_more(
    model: Any, tokenizer: Any, language: Grammar | None
) -> None:
    options: dict[str, Any] = {"language": language, "tokens": 6}
    one = decoder(model, tokenizer, beams=2, groups=1, **options).decode(TASKS[:1], n=[2])
    three = decoder(model, tokenizer, beams=6, groups=3, diversity=0.0, **options).decode(TASKS[:1], n=[6])
    assert sorted(texts(three)) == sorted(texts(one) * 3)
    # Equal texts are one row.
    assert three.ledger.generated_tokens == one.ledger.generated_tokens > 0
    # Those that are found again come last.
    assert texts(three)[:2] == texts(one)


def test_a_large_diversity_makes_the_first_tokens_of_all_groups_differ(model: Any, tokenizer: Any) -> None:
    for diversity, expected in ((0.0, 1), (1e3, 6)):
        decoding = decoder(model, tokenizer, tokens=4, beams=6, groups=6, diversity=diversity).decode(TASKS[:1], n=[6])
        assert len({text[0] for text in texts(decoding)}) == expected
    apart = decoder(model, tokenizer, language=CHOICE, beams=3, groups=3, diversity=1e3).decode(TASKS[:1], n=[3])
    assert all(rollout.transcript.text in WORDS for rollout in apart.groups[0].rollouts)
    assert len(set(texts(apart))) == 3


def test_diversity_weighs_tokens_by_how_many_beams_have_just_taken_them() -> None:
    # Tokens 0, 1, 2 with p = .5, .3, .2 after anything; two groups of two beams.
    log_p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()
    opening = Opening(prompt_ids=(1,), max_new_tokens=4)

    def first_tokens(diversity: float, *, beams: int = 4, groups: int = 2) -> list[tuple[int, ...]]:
        searcher = BeamSearcher(BeamGroups(beams=beams, groups=groups, diversity=diversity), opening, [9], row=0)
        searcher.step(searcher.live, log_p, [0.0], first=0)
        return [beam.token_ids for beam in searcher.beams]

    assert first_tokens(0.0) == [(0,), (1,), (0,), (1,)]
    # Taken once, token 1 falls behind token 2 from log .3/.2 = .41 on, token 0 from log .5/.2 = .92 on.
    assert first_tokens(0.4) == [(0,), (1,), (0,), (1,)]
    assert first_tokens(0.5) == [(0,), (1,), (0,), (2,)]
    assert first_tokens(1.0) == [(0,), (1,), (2,), (0,)]
    # Taken twice, token 0 falls behind token 1 from half of log .5/.3 = .51 on.
    assert first_tokens(0.3, beams=3, groups=3) == [(0,), (0,), (1,)]


def test_a_length_penalty_lets_longer_texts_win() -> None:
    # The end has p = .6; going on has .4, and then ends for certain.
    def chosen(alpha: float) -> tuple[int, ...]:
        options = BeamGroups(beams=2, length_penalty=alpha)
        searcher = BeamSearcher(options, Opening(prompt_ids=(1,), max_new_tokens=4), [0], row=0)
        searcher.step(searcher.live, torch.tensor([[0.6, 0.4]], dtype=torch.float64).log(), [0.0], first=0)
        searcher.step(searcher.live, torch.tensor([[1.0, 0.0]], dtype=torch.float64).log(), [0.0], first=0)
        assert not searcher.live
        return searcher.beams[0].token_ids

    assert chosen(0.0) == (0,) and chosen(10.0) == (1, 0)


def test_beams_at_the_budgets_end_have_their_structures_closed(model: Any, tokenizer: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"on": {"type": "string"}},
        "required": ["on"],
        "additionalProperties": False,
    }
    language = Grammar(kind="json_schema", source=json.dumps(schema))
    (group,) = decoder(model, tokenizer, language=language, tokens=24, beams=3).decode(TASKS[:1], n=[3]).groups
    closed = [rollout for rollout in group.rollouts if rollout.finish == "length"]
    assert closed
    for rollout in group.rollouts:
        assert rollout.grammar_error is None and isinstance(json.loads(rollout.transcript.text)["on"], str)
        assert len(rollout.completion_ids) == len(rollout.logprobs) <= 24
    for rollout in closed:
        written = sum(rollout.env_mask)
        assert written < len(rollout.completion_ids) and not any(rollout.logprobs[written:])


def test_a_vote_takes_the_meaning_that_most_beams_share(model: Any, tokenizer: Any) -> None:
    options: dict[str, Any] = {"language": CHOICE, "beams": 8}
    (best,) = decoder(model, tokenizer, **options).stream(TASKS[:1], n=[8])
    (voted,) = decoder(model, tokenizer, select="vote", **options).stream(TASKS[:1], n=[1])
    said = [rollout.transcript.text for rollout in best.group.rollouts]
    letters = [text[0] for text in said]
    most = max(map(letters.count, letters))
    (rollout,) = voted.group.rollouts
    assert letters.count(rollout.transcript.text[0]) == most
    assert rollout.transcript.text == next(text for text in said if text[0] == rollout.transcript.text[0])
    assert voted.candidates is not None and len(voted.candidates[0]) == 8
    assert voted.cost.verifier_calls == 8 and best.cost.verifier_calls == 0
    assert voted.cost.judged == 1 and voted.cost.prefilled_tokens == len(rollout.prompt_ids)


def test_all_of_the_time_is_in_one_of_the_columns(model: Any, tokenizer: Any) -> None:
    @dataclass(kw_only=True)
    class Slow(Quiet):
        def examine(self, episodes: Any) -> list[Examination]:
            time.sleep(0.1)
            return super().examine(episodes)

        def judge(self, episodes: Any) -> Any:
            time.sleep(0.05)
            return super().judge(episodes)

    for select, least in (("best", 0.0), ("vote", 0.1)):
        searched = replace(decoder(model, tokenizer, tokens=2, beams=2, select=select), environment=Slow())
        before = time.perf_counter()
        ledger = searched.decode(TASKS, n=[1, 1]).ledger
        wall = time.perf_counter() - before
        assert (ledger.verify_seconds >= least) and (ledger.verify_seconds > 0) == (select == "vote")
        assert ledger.judge_seconds >= 0.05 and ledger.generate_seconds > 0
        assert 0.9 * wall < ledger.generate_seconds + ledger.verify_seconds + ledger.judge_seconds <= wall


def test_a_beam_that_its_budget_cut_off_comes_after_those_that_are_complete(model: Any, tokenizer: Any) -> None:
    # Every token is a text, of which those that end one are complete.
    for select in ("best", "vote"):
        searched = decoder(model, tokenizer, tokens=1, beams=400, select=select)
        (finish,) = searched.stream(TASKS[:1], n=[1])
        assert finish.candidates is not None
        (compared,) = finish.candidates
        complete = [one.state.is_complete for one in compared]
        assert any(complete) and not all(complete) and complete[0]
        assert finish.group.rollouts[0].finish == "eos"
        if select == "best":
            assert complete == sorted(complete, reverse=True)
            scores = [one.score or 0.0 for one in compared]
            assert max(scores) > scores[0]  # of one that was cut off


def test_batches_change_nothing_and_tasks_without_answers_cost_nothing(model: Any, tokenizer: Any) -> None:
    together = decoder(model, tokenizer, tokens=6, beams=3)
    apart = replace(together, max_batch_rows=1)
    tasks = [*TASKS, Task(id="nobody asks")]
    one, other = (each.decode(tasks, n=[2, 1, 0]) for each in (together, apart))
    for place in range(3):
        assert texts(one, place) == texts(other, place)
    assert one.ledger.generated_tokens == other.ledger.generated_tokens
    assert not one.groups[2].rollouts and one.ledger.judged == 3


def test_texts_of_a_small_grammar_come_again_where_more_are_asked_for(model: Any, tokenizer: Any) -> None:
    language = Grammar(kind="choice", source=json.dumps(["a"]))
    found = texts(decoder(model, tokenizer, language=language, beams=4).decode(TASKS[:1], n=[4]))
    assert len(found) == 4 and len(set(found)) == 1


def test_a_grammar_that_no_text_can_keep_is_said_to_be_the_error(model: Any, tokenizer: Any) -> None:
    language = Grammar(kind="choice", source=json.dumps(["a long text that needs more tokens than there are"]))
    (group,) = decoder(model, tokenizer, language=language, tokens=3, beams=2).decode(TASKS[:1], n=[1]).groups
    assert "budget" in (group.rollouts[0].grammar_error or "") and group.rollouts[0].log_z is None
    missing = replace(decoder(model, tokenizer, tokens=3, beams=2), grammar=True)
    (group,) = missing.decode(TASKS[:1], n=[1]).groups
    assert group.rollouts[0].grammar_error == "environment 'quiet' has no grammar for this task"


def test_logits_that_are_no_numbers_are_an_error(model: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="after 0 tokens"):
        decoder(model, tokenizer, tokens=3, beams=2).decode(TASKS[:1], n=[1])


def test_what_cannot_be_searched_is_refused(model: Any, tokenizer: Any) -> None:
    fine = decoder(model, tokenizer)
    engine: Any = ScriptedEngine(tokenizer=tokenizer, script=lambda said, random: said)
    with pytest.raises(ConfigurationError, match="not ScriptedEngine"):
        replace(fine, engine=engine)
    with pytest.raises(ConfigurationError, match="answers between turns"):
        replace(fine, environment=Echo())
    with pytest.raises(ConfigurationError, match="'best' or 'vote'"):
        replace(fine, select="worst")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="5 answers of a task from 4 beams"):
        fine.decode(TASKS[:1], n=[5])
    for wrong in ({"beams": 0}, {"beams": 4, "groups": 3}, {"diversity": -1.0}, {"length_penalty": math.nan}):
        with pytest.raises(ConfigurationError):
            BeamGroups(**wrong)  # type: ignore[arg-type]
