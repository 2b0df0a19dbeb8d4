"""Tags around SQL answers: what is asked for, what is read, and that nothing changes where no tags are configured."""

import pickle
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from envs.layout import Tags, read_layout
from envs.registry import EnvironmentConfig, make_environment
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Transcript

GOLD = "SELECT name, age FROM singer WHERE age = 30"
REEX = Tags(
    reasoning="think", must_reason=True, step="intermediate_sql", observation="result", answer="final_sql", plan="plan"
)
SETTINGS = ExecutorSettings(workers=1)


def task_on(database: Path) -> SqlTask:
    return SqlTask(id="1", question="Who is 30?", database=Database.at(database), gold=GOLD)


def judge(database: Path, text: str, tags: Tags | None = None) -> SqlVerdict:
    environment = SqlEnvironment(executor=SETTINGS) if tags is None else SqlEnvironment(executor=SETTINGS, tags=tags)
    (verdict,) = environment.judge([(task_on(database), Transcript.of(text, tokens=7))])
    assert isinstance(verdict, SqlVerdict)
    return verdict


def system_message(database: Path, tags: Tags) -> str:
    return SqlEnvironment(tags=tags).prompt(task_on(database))[0]["content"]


def test_without_tags_to_ask_for_the_prompt_is_what_it_was(database: Path) -> None:
    instructions = (
        "You write SQLite queries. Answer the question with one SELECT statement over the schema below. "
        "Return exactly the columns that the question asks for. "
        "Reply with the query alone, without an explanation."
    )
    assert SqlEnvironment().prompt(task_on(database))[0] == {"role": "system", "content": instructions}
    assert SqlEnvironment(tags=Tags()).prompt(task_on(database)) == SqlEnvironment().prompt(task_on(database))


def test_the_prompt_asks_for_the_tags_and_not_for_the_query_alone(database: Path) -> None:
    text = system_message(database, REEX)
    assert all(f"<{name}></{name}>" in text for name in ("think", "plan", "final_sql"))
    assert "alone" not in text


def test_without_a_tag_for_it_the_query_is_asked_for_alone_behind_the_others(database: Path) -> None:
    text = system_message(database, Tags(reasoning="think", must_reason=True))
    assert text.index("<think></think>") < text.index("Then reply with the query alone")


def test_the_prompt_does_not_promise_answers_to_steps_that_get_none(database: Path) -> None:
    tags = Tags(step="intermediate_sql", answer="final_sql")
    environment = SqlEnvironment(tags=tags)
    assert "intermediate_sql" not in system_message(database, tags)
    assert environment.stops == ()
    assert (
        environment.observe(task_on(database), Transcript.of("<intermediate_sql>SELECT 1</intermediate_sql>")) is None
    )


@pytest.mark.parametrize(
    "tags",
    [
        Tags(),
        Tags(reasoning="think"),
        Tags(reasoning="think", must_reason=True),
        Tags(plan="EXPLORATION"),
        Tags(step="intermediate_sql"),
        Tags(step="intermediate_sql", observation="result", answer="final_sql"),
        Tags(answer="final_sql"),
        REEX,
    ],
)
def test_the_reference_is_laid_out_as_asked_and_right(database: Path, tags: Tags) -> None:
    reference = SqlEnvironment(tags=tags).reference(task_on(database))
    assert read_layout(Transcript.of(reference), tags).defect is None
    verdict = judge(database, reference, tags)
    assert verdict.is_correct and verdict.answer == GOLD
    assert (verdict.layout.defect, verdict.layout.tag_share) == (None, 1.0)


def test_the_reference_without_tags_to_ask_for_is_the_gold(database: Path) -> None:
    assert SqlEnvironment().reference(task_on(database)) == GOLD


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"<think>perhaps SELECT 1</think>{GOLD}", GOLD),
        (f"perhaps ```sql\nSELECT 1\n```</think>\n```sql\n{GOLD}\n```", GOLD),
        (f"<think>```sql\n{GOLD}\n```</think>", None),
        (f"<think>{GOLD}", None),
        (GOLD, GOLD),
        ("", None),
    ],
)
def test_a_query_in_the_reasoning_is_no_answer(database: Path, text: str, answer: str | None) -> None:
    verdict = judge(database, text)
    assert (verdict.answer, verdict.is_correct) == (answer, answer == GOLD)
    assert verdict.error == (None if answer else "empty")


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        (GOLD, "no answer"),
        (f"<final_sql>{GOLD}</final_sql><final_sql>SELECT 1</final_sql>", "several answers"),
        (f"<final_sql>{GOLD}", "unclosed tag"),
        (f"I think: <final_sql>{GOLD}</final_sql>", "text outside"),
        (f"<result>30</result><final_sql>{GOLD}</final_sql>", "forged observation"),
        (f"<final_sql>{GOLD}</final_sql>", None),
    ],
)
def test_a_verdict_says_what_is_wrong_with_the_layout(database: Path, text: str, defect: str | None) -> None:
    verdict = judge(database, text, Tags(step="step", observation="result", answer="final_sql"))
    assert verdict.layout.defect == defect
    assert (verdict.layout.characters, verdict.layout.tokens) == (len(text), 7)


def test_an_unjudged_answer_keeps_its_layout(database: Path) -> None:
    database.write_bytes(b"")
    verdict = judge(database, "<think>a</think>SELECT 1")
    assert verdict.unjudged is not None and verdict.layout.reasoning == "a"


def test_tags_and_steps_come_from_a_configuration() -> None:
    options = {"tags": {"answer": "final_sql", "step": "step"}, "max_steps": 3}
    environment = make_environment(EnvironmentConfig(name="sql", options=options))
    assert isinstance(environment, SqlEnvironment)
    assert environment.tags == Tags(reasoning="think", answer="final_sql", step="step")
    assert environment.max_steps == 3
    assert pickle.loads(pickle.dumps(environment)) == environment
    assert SqlEnvironment(**options) == environment  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": {"anser": "a"}}, "answer"),
        ({"tags": {"answer": "<a>"}}, "no name of a tag"),
        ({"tags": {"answer": "a", "step": "a"}}, "twice"),
        ({"tags": {"reasoning": None, "must_reason": True}}, "must_reason"),
        ({"tags": "think"}, "tags"),
        ({"max_steps": 0}, "max_steps is 0"),
    ],
)
def test_a_wrong_tag_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_environment(EnvironmentConfig(name="sql", options=options))


def test_a_judged_verdict_holds_the_gold(database: Path) -> None:
    assert [judge(database, text).gold for text in (GOLD, "SELECT 1", "")] == [GOLD] * 3
    database.write_bytes(b"")
    assert judge(database, GOLD).gold is None
