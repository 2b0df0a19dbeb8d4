"""Scorers against their definitions, on examinations, log-probabilities and answers that are made up."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted import Echo

from decoding.chat_prompt import message_ids
from decoding.engine import Request
from decoding.episode import Episode
from decoding.search.account import SearchBudget
from decoding.search.plan import Ask, AskAll, Examine, Plan, Said
from decoding.search.quotation import CUT, quoted, shortened
from decoding.search.scorers.agreement import Agreement
from decoding.search.scorers.combined import Combined
from decoding.search.scorers.grammar_mass import GrammarMass
from decoding.search.scorers.judgement import MOST_TOKENS, WORDS, Judgement
from decoding.search.scorers.probability import Probability
from decoding.search.scorers.registry import SCORERS, make_scorer
from decoding.search.scorers.validity import Validity
from decoding.search.state import State
from decoding.search.strategy import Problem
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.task import Task
from envs.transcript import Segment, Transcript

TASK = Task(id="Is it on?")
SCORES = st.one_of(st.none(), st.floats(0, 1))


def state(text: str = "yes", *, is_final: bool = True, observed: str = "", **facts: Any) -> State:
    segments = [Segment(author="model", text=text)]
    if observed:
        segments.append(Segment(author="environment", text=observed))
    given: dict[str, Any] = {"logprob": -1.0, "log_z": None, "tokens": 2, **facts}
    return State(
        task=TASK,
        transcript=Transcript(segments=tuple(segments)),
        is_final=is_final,
        episode=Episode(task=TASK, place=0, row=-1, prompt_ids=()),
        **given,
    )


ROOT = state("", is_final=False, logprob=0.0, tokens=0)
PROBLEM = Problem(task=TASK, environment=Echo(), root=ROOT, seed=0, budget=SearchBudget())


def drive(plan: Plan[Any], grant: Callable[[Any], Any]) -> Any:
    """What a plan returns whose wishes are granted by a function."""
    granted: Any = None
    while True:
        try:
            wish = plan.send(granted)
        except StopIteration as end:
            return end.value
        granted = grant(wish)


def examined(scorer: Any, found: Sequence[Examination | None], states: Sequence[State]) -> list[float | None]:
    def grant(wish: Any) -> Any:
        assert isinstance(wish, Examine) and wish.states == tuple(states)
        return list(found)

    scores: list[float | None] = drive(scorer.score(PROBLEM, states), grant)
    return scores


FINDINGS = st.one_of(
    st.none(),
    st.just(Examination(unjudged="deadline")),
    st.just(Examination(error="no such table")),
    st.builds(Examination, digest=st.sampled_from("abc"), is_valid=st.booleans()),
)


@given(found=st.lists(FINDINGS, min_size=1, max_size=8))
def test_agreement_is_the_share_of_the_other_answers_that_mean_the_same(found: list[Examination | None]) -> None:
    scores = examined(Agreement(), found, [state() for _ in found])
    for place, (one, score) in enumerate(zip(found, scores, strict=True)):
        others = [
            other for at, other in enumerate(found) if at != place and other is not None and other.unjudged is None
        ]
        if one is None or one.unjudged is not None or not others:
            assert score is None
        elif not one.is_valid:
            assert score == 0
        else:
            assert score == pytest.approx(sum(o.is_valid and o.digest == one.digest for o in others) / len(others))


def test_validity_of_an_answer_and_of_what_goes_on() -> None:
    runs, fails, nothing = Examination(is_valid=True), Examination(error="syntax"), Examination(error="empty")
    cases = [
        (state(), runs, 1.0),
        (state(), fails, 0.0),
        (state(), nothing, 0.0),
        (state(), None, None),
        (state(), Examination(unjudged="deadline"), None),
        (state(is_final=False, observed="<result>3</result>"), runs, 1.0),
        (state(is_final=False, observed="<result>error</result>"), fails, 0.0),
        (state(is_final=False), nothing, None),
    ]
    found = [one for _, one, _ in cases]
    assert examined(Validity(), found, [one for one, _, _ in cases]) == [expected for *_, expected in cases]


def test_probability_and_mass_are_geometric_means_or_products() -> None:
    states = [
        state(logprob=-3.0, tokens=3, log_z=-6.0),
        state(logprob=math.nan, tokens=3, log_z=math.nan),
        state(logprob=0.0, tokens=0, log_z=0.0),
        # Sums of floats may end a little above 0.
        state(logprob=1e-9, tokens=1, log_z=1e-9),
    ]

    def score(scorer: Any) -> list[float | None]:
        scores: list[float | None] = drive(scorer.score(PROBLEM, states), lambda wish: None)
        return scores

    assert score(Probability()) == [pytest.approx(math.exp(-1)), None, None, 1.0]
    assert score(Probability(total=True)) == [pytest.approx(math.exp(-3)), None, None, 1.0]
    assert score(GrammarMass()) == [pytest.approx(math.exp(-2)), None, None, 1.0]
    assert score(GrammarMass(total=True)) == [pytest.approx(math.exp(-6)), None, None, 1.0]
    assert drive(GrammarMass().score(PROBLEM, [state(log_z=None)]), lambda wish: None) == [None]


def said(text: str, logprob: float) -> list[Said]:
    return [Said(text=text, logprob=logprob, tokens=2)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said("Yes", math.log(0.8)), 0.8),
        (said("No", math.log(0.8)), 0.2),
        (said(" Yes\n", 1e-9), 1.0),
        (said("Yes", math.nan), 1.0),
        (said("No", math.nan), 0.0),
        (said("Yes, it is", -0.1), None),
        (said("", -0.1), None),
        ([], None),
    ],
)
def test_judgement_is_the_probability_of_yes(answer: list[Said], expected: float | None) -> None:
    asked: list[Ask] = []

    def grant(wish: AskAll) -> Any:
        asked.extend(wish.questions)
        return [answer] * len(wish.questions)

    scores = drive(Judgement().score(PROBLEM, [state("it is"), state("it is not")]), grant)
    assert scores == [None if expected is None else pytest.approx(expected)] * 2
    assert all(ask.temperature == 0 and ask.grammar == WORDS and ask.n == 1 for ask in asked)
    shown = [ask.messages[0]["content"] for ask in asked]
    assert all("> Is it on?" in text for text in shown) and "> it is\n" in shown[0] and "> it is not\n" in shown[1]


def test_a_real_model_judges_with_the_probability_of_the_word_it_says(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    prompts: list[list[int]] = []

    def grant(wish: AskAll) -> Any:
        (asked,) = wish.questions
        prompts.append(message_ids(tokenizer, asked.messages, TASK))
        request = Request(prompt_ids=prompts[-1], max_new_tokens=MOST_TOKENS, temperature=0.0, grammar=asked.grammar)
        (one,) = engine.generate([request])
        return [said(tokenizer.decode(one.token_ids, skip_special_tokens=True), sum(one.logprobs))]

    (score,) = drive(Judgement().score(PROBLEM, [state()]), grant)
    with torch.no_grad():
        logits = model(torch.tensor(prompts)).logits[0, -1].double()
    # The tiny vocabulary has one token each that "Yes" and "No" can begin with, and then leaves no choice.
    yes, no = (tokenizer.encode(letter)[0] for letter in "YN")
    assert score == pytest.approx(float(logits[[yes, no]].softmax(dim=0)[0]), abs=1e-5)


@given(text=st.text(alphabet=st.sampled_from("ab> \n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), max_size=60))
def test_no_text_of_an_answer_leaves_its_quotation(text: str) -> None:
    def question(answer: str) -> str:
        asked: list[Ask] = []

        def grant(wish: Any) -> Any:
            if isinstance(wish, Examine):
                return [Examination(error="wrong", message=answer)]
            asked.extend(wish.questions)
            return [said("Yes", -0.1)]

        drive(Judgement(shows_finding=True).score(PROBLEM, [state(answer)]), grant)
        return asked[0].messages[0]["content"]

    def unmarked(answer: str) -> list[str]:
        return [line for line in question(answer).splitlines() if not line.startswith(">")]

    assert unmarked(text) == unmarked("right" if text else "")[: len(unmarked(text))]
    assert "Is the answer right? Say Yes or No." in unmarked(text)


@given(text=st.text(max_size=80), longest=st.integers(1, 40))
def test_what_is_shown_is_bounded_and_keeps_both_ends(text: str, longest: int) -> None:
    shown = shortened(text, longest)
    if len(text) <= longest:
        assert shown == text
    else:
        begin, end = shown.split(CUT, 1) if CUT not in text else (text[: longest - longest // 2], "")
        assert text.startswith(begin) and text.endswith(end) and len(shown) == longest + len(CUT)
    assert all(line.startswith(">") for line in quoted(text, longest=longest).splitlines())


@dataclass(frozen=True)
class Says:
    """Scores that are written down."""

    scores: tuple[float | None, ...]

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        yield from ()
        return list(self.scores)


def combined(*columns: Sequence[float | None], **options: Any) -> list[float | None]:
    scorer = Combined(scorers=tuple(Says(tuple(column)) for column in columns), **options)
    scores: list[float | None] = drive(scorer.score(PROBLEM, [state() for _ in columns[0]]), lambda wish: None)
    return scores


def test_several_scorers_multiply_or_are_averaged() -> None:
    assert combined([0.5, 1.0], [0.5, 0.0]) == [0.25, 0.0]
    assert combined([0.5, 1.0], [0.5, 0.0], how="mean") == [0.5, 0.5]
    assert combined([0.5, 1.0], [0.5, 0.0], how="mean", weights=(3, 1)) == [0.5, 0.75]
    # One that says nothing at all has no part; where it says nothing of one, the mean of the others stands in.
    assert combined([0.5, 1.0], [None, None]) == [0.5, 1.0]
    assert combined([0.5, 1.0, 0.1], [None, 0.2, 0.4]) == [pytest.approx(0.15), 0.2, pytest.approx(0.04)]
    assert combined([None, 1.0], [None, 0.5]) == [None, 0.5]
    assert combined([None], [None], how="mean") == [None]
    assert combined([None], [0.5], how="mean", weights=(1, 0)) == [None]


@given(
    columns=st.integers(1, 4).flatmap(
        lambda rows: st.lists(st.lists(SCORES, min_size=rows, max_size=rows), min_size=1, max_size=3)
    ),
    how=st.sampled_from(["product", "mean"]),
)
def test_combined_scores_stay_within_bounds_and_say_nothing_only_where_none_does(
    columns: list[list[float | None]], how: Any
) -> None:
    for place, score in enumerate(combined(*columns, how=how)):
        assert (score is None) == all(column[place] is None for column in columns)
        assert score is None or -1e-9 <= score <= 1 + 1e-9


def test_scorers_are_made_from_names_mappings_and_themselves() -> None:
    assert make_scorer("validity") == Validity()
    assert make_scorer({"name": "probability", "total": True}) == Probability(total=True)
    scorer = Agreement()
    assert make_scorer(scorer) is scorer
    nested = {"name": "combined", "how": "mean", "weights": [1, 2], "scorers": ["validity", {"name": "grammar_mass"}]}
    expected = Combined(scorers=(Validity(), GrammarMass()), how="mean", weights=(1.0, 2.0))
    assert make_scorer(nested) == expected
    assert make_scorer({"name": "combined", "scorers": [nested, scorer]}) == Combined(scorers=(expected, scorer))
    needed: dict[str, dict[str, Any]] = {"combined": {"scorers": ["validity"]}, "process_reward": {"model": "x"}}
    for name, kind in SCORERS.items():
        assert isinstance(make_scorer({"name": name, **needed.get(name, {})}), kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_scorer", "message"),
    [
        ("validty", "did you mean 'validity'"),
        ({"name": "probability", "totals": True}, "did you mean 'total'"),
        ({"total": True}, "has no name"),
        ({"name": "probability", "total": "very"}, "total"),
        (3, "expected the name of one"),
        (Validity, "expected the name of one"),
        ({"name": "combined"}, "scorers"),
        ({"name": "combined", "scorers": []}, "one scorer at least"),
        ({"name": "combined", "scorers": "validity"}, "scorers"),
        ({"name": "combined", "scorers": ["validty"]}, "did you mean 'validity'"),
        ({"name": "combined", "scorers": ["validity"], "how": "sum"}, "how"),
        ({"name": "combined", "scorers": ["validity"], "weights": [1.0]}, "belong to a mean"),
        ({"name": "combined", "scorers": ["validity"], "how": "mean", "weights": [1.0, 2.0]}, "1 numbers"),
        ({"name": "combined", "scorers": ["validity"], "how": "mean", "weights": [0.0]}, "not all of them 0"),
        ({"name": "judgement", "longest_text": 0}, "longest_text"),
        ({"name": "process_reward"}, "model"),
        ({"name": "process_reward", "model": "x", "aggregate": "mean"}, "aggregate"),
        ({"name": "process_reward", "model": "x", "batch_size": 0}, "batch_size"),
        ({"name": "process_reward", "model": "x", "label": [1]}, "label"),
    ],
)
def test_what_is_no_scorer_is_refused(given_scorer: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_scorer(given_scorer)


def test_a_scorer_of_no_states_asks_for_nothing() -> None:
    def refuse(wish: Any) -> Any:
        raise AssertionError(f"asked for {json.dumps(str(wish))}")

    for scorer in (Agreement(), Validity(), Probability(), GrammarMass(), Judgement(), Combined(scorers=(Validity(),))):
        assert drive(scorer.score(replace(PROBLEM), []), refuse) == []
