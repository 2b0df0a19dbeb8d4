"""The grammars of the environments' turns, compiled: what they accept is what the layout asks for."""

import json
import random
import sqlite3
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.compiler import GrammarCompiler
from decoding.grammars.shortest import shortest_completion
from envs.grammar import Grammar
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.layout import Tags, read_layout
from envs.math.environment import MathEnvironment
from envs.math.task import MathTask
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.task import SqlTask
from envs.transcript import UNSAID, Segment, Transcript

LAYOUTS = [
    Tags(reasoning="think", must_reason=must_reason, plan=plan, step=step, observation=observation, answer=answer)
    for must_reason, plan, (step, observation), answer in product(
        (False, True), (None, "plan"), ((None, None), ("draft", None), ("draft", "result")), (None, "answer")
    )
    if not (observation is not None and answer is None)
]
IN_STEPS = Tags(reasoning="think", step="draft", observation="result", answer="answer")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("turns") / "turns.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE singer (name TEXT, age INTEGER)")
    connection.execute("INSERT INTO singer VALUES ('Ann', 30)")
    connection.commit()
    connection.close()
    return Database.at(path)


def cases(database: Database, tags: Tags) -> list[tuple[Any, Any]]:
    """An environment of each domain and a task of it, for what the domain allows."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    found: list[tuple[Any, Any]] = [
        (SqlEnvironment(tags=tags), SqlTask(id="1", question="?", database=database, gold="SELECT name FROM singer"))
    ]
    if tags.step is None or tags.observation is not None:
        found.append((JsonEnvironment(tags=tags), JsonTask(id="2", schema=json.dumps(schema), gold='{"n": 3}')))
        found.append((MathEnvironment(tags=tags), MathTask(id="3", question="1+2?", gold="3")))
    return found


@pytest.fixture(scope="module")
def compiler(tokenizer: Any) -> GrammarCompiler:
    return GrammarCompiler(tokenizer)


@pytest.fixture(scope="module")
def accepts(compiler: GrammarCompiler) -> Callable[[Grammar, str], bool]:
    return lambda grammar, text: compiler.compile(grammar).accepts(text)


@pytest.mark.parametrize("tags", LAYOUTS, ids=str)
def test_references_are_sentences_of_their_grammar(
    tags: Tags, database: Database, accepts: Callable[[Grammar, str], bool]
) -> None:
    for environment, task in cases(database, tags):
        grammar = environment.grammar(task)
        assert grammar is not None
        assert accepts(grammar, environment.reference(task)), environment.name


@pytest.mark.parametrize("tags", LAYOUTS, ids=str)
def test_what_is_written_under_the_grammar_has_no_defect_of_layout(
    tags: Tags, database: Database, tokenizer: Any, compiler: GrammarCompiler
) -> None:
    for environment, task in cases(database, tags):
        for seed in range(3):
            text = written(compiler.compile(environment.grammar(task)), tokenizer, seed)
            layout = read_layout(Transcript.of(text), tags)
            # That reasoning and a plan are not blank is more than a grammar asks for; a step is no answer.
            allowed = {None, "no reasoning", "no plan"} | ({"no answer"} if tags.answers_steps else set())
            # Reasoning without a tag of its own is what mathematics needs most.
            allowed |= {"text outside"} if environment.name == "math" and not tags.must_reason else set()
            assert layout.defect in allowed, (text, layout.defect)


def written(compiled: CompiledGrammar, tokenizer: Any, seed: int) -> str:
    """A text drawn token by token, which is brought to an end after a while."""
    draw, ids, matcher = random.Random(seed), list[int](), compiled.matcher()
    for _ in range(draw.randrange(30)):
        words = matcher.mask()
        assert words is not None, matcher.error
        allowed = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        assert len(allowed), tokenizer.decode(ids)
        token = int(draw.choice(allowed))
        if token == tokenizer.eos_token_id:
            return str(tokenizer.decode(ids))
        matcher.consume([token])
        ids.append(token)
    end = shortest_completion(matcher, compiled.vocabulary, most=200, endings=compiled.endings)
    assert end is not None, (tokenizer.decode(ids), compiled.grammar)
    return str(tokenizer.decode([*ids, *end]))


@pytest.mark.parametrize(
    ("tags", "sentences", "others"),
    [
        (
            Tags(),
            ["a\nb \\boxed{18}", "\\boxed{-1.5}", "\\box {} \\boxed{3/4}"],
            ["\\boxed{3} \\boxed{5}", "\\boxed{5}.", "5", "\\boxed{x}", "\\boxed{}", "\\boxed{05}"],
        ),
        (
            Tags(reasoning="think", answer="answer"),
            [r"<think>a</think><answer>\boxed{18}</answer>", r"<answer>\boxed{-1.5}</answer>"],
            [r"\boxed{5}", r"<answer>5</answer>", r"<answer>\boxed{5}</answer>.", r"<answer><answer>\boxed{5}"],
        ),
    ],
)
def test_mathematics_ends_in_its_only_box(
    tags: Tags, sentences: list[str], others: list[str], accepts: Callable[[Grammar, str], bool]
) -> None:
    grammar = MathEnvironment(tags=tags).grammar(MathTask(id="1", question="?", gold="5"))
    assert grammar is not None
    assert [text for text in sentences if not accepts(grammar, text)] == []
    assert [text for text in others if accepts(grammar, text)] == []


def test_each_turn_has_its_own_language(database: Database, accepts: Callable[[Grammar, str], bool]) -> None:
    environment = SqlEnvironment(tags=IN_STEPS, max_steps=1)
    task = SqlTask(id="1", question="?", database=database, gold="SELECT name FROM singer")
    step, answer = "<draft>SELECT age FROM singer</draft>", "<answer>SELECT name FROM singer</answer>"
    first = environment.grammar(task, UNSAID)
    opened = environment.grammar(task, Transcript(segments=(), begins_in_reasoning=True))
    observed = (Segment(author="model", text=step), Segment(author="environment", text="<result>30</result>"))
    last = environment.grammar(task, Transcript(segments=observed))
    assert first is not None and opened is not None and last is not None
    assert accepts(first, step) and accepts(first, answer) and accepts(first, f"<think>hm</think>\n{step}")
    assert not accepts(first, step + answer)
    assert accepts(opened, f"hm</think>{step}") and not accepts(opened, step)
    assert accepts(last, answer) and not accepts(last, step)


def test_the_schema_stands_in_the_tags_of_the_answer(accepts: Callable[[Grammar, str], bool]) -> None:
    task = JsonTask(id="1", schema='{"type": "integer", "minimum": 0}', gold="7")
    grammar = JsonEnvironment(tags=Tags(answer="answer")).grammar(task)
    assert grammar is not None
    assert accepts(grammar, "<answer>7</answer>")
    assert not any(accepts(grammar, text) for text in ("<answer>-7</answer>", "7", "<answer>7</answer>7"))
