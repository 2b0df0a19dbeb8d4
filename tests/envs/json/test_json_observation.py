"""Answers to drafts of a value: the first error, where it is, and nothing of the gold."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.json.answer_format import AnswerFormat
from envs.json.environment import JsonEnvironment
from envs.json.observation import NOT_READ
from envs.json.parsing import ParseError
from envs.json.task import JsonTask
from envs.layout import Tags
from envs.transcript import END, Observation, Segment, Transcript

TAGS = Tags(reasoning="think", must_reason=True, step="draft", observation="check", answer="answer")
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^(?!x)(a|aa)*b?[A-Z]?.*$"},
            "age": {"type": "integer", "maximum": 120},
            "pets": {"type": "array", "items": {"type": "object", "required": ["kind"]}},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)
GOLD = '{"name": "Ann", "age": 31}'
NO_JSON = "error: it is not JSON"
NO_XML = "error: it is not XML as it is asked for"
NO_YAML = "error: it is not YAML as it is asked for"


def task(gold: str | None = GOLD, schema: str = SCHEMA) -> JsonTask:
    return JsonTask(id="1", schema=schema, text="Ann is 31.", gold=gold)


def observe(draft: str, answer_format: AnswerFormat = "json", to: JsonTask | None = None) -> Observation:
    environment = JsonEnvironment(tags=TAGS, answer_format=answer_format)
    transcript = Transcript.of(f"<think>Let us see.</think><draft>{draft}</draft>\n")
    observation = environment.observe(to or task(), transcript)
    assert observation is not None and not observation.ends_episode
    return observation


def body(draft: str, answer_format: AnswerFormat = "json") -> str:
    return observe(draft, answer_format).text.removeprefix("<check>\n").removesuffix("\n</check>\n")


@pytest.mark.parametrize(
    ("draft", "said"),
    [
        (GOLD, "valid"),
        ('{"name": "Bob", "age": 1}', "valid"),
        ('{"name": "Ann", "age": 121}', "/age: 121 is greater than the maximum of 120"),
        ('{"name": "Ann", "age": 1, "pets": [{"kind": 1}, {}]}', '/pets/1: "kind" is a required property'),
        ("[]", 'the whole value: [] is not of type "object"'),
        ("{}", 'the whole value: "name" is a required property\n(1 more error)'),
        ('{"name": "Ann",}', f"{NO_JSON}: Expecting property name enclosed in double quotes at line 1, column 16"),
        ('\n\n{"name": "Ann"\n "age": 1}\n', f"{NO_JSON}: Expecting ',' delimiter at line 2, column 2"),
        ('so: {"name"', f"{NO_JSON}: Expecting ':' delimiter at line 1, column 12"),
        ("Ann", f"{NO_JSON}: Expecting value at line 1, column 1"),
        ("12 13", NO_JSON),
        ('{"name": "Ann", "name": "Ann"}', "error: an object has a key twice"),
        ("[" * 10_000, "error: its arrays and objects nest too deep"),
        ("1" * 100_000, "error: it is too long"),
        ('{"age": NaN}', "error: a number is not finite"),
        ('"\ud800"', "error: a string holds half of a surrogate pair"),
        (f"```json\n{GOLD}\n```", "error: there is other text beside the value"),
        ("", "error: the draft is empty"),
    ],
)  # fmt: skip
def test_a_draft_is_valid_or_its_first_error_is_told(draft: str, said: str) -> None:
    assert body(draft) == said


@pytest.mark.parametrize(
    ("answer_format", "draft", "said"),
    [
        ("xml", "<value><name>Ann</name><age>31</age></value>", "valid"),
        ("xml", "<value><name>Ann</name><age>131</age></value>", "/age: 131 is greater than the maximum of 120"),
        ("xml", "<value>\n<name>Ann</value>", f"{NO_XML}: mismatched tag at line 2, column 12"),
        ("xml", "Ann", f"{NO_XML}: syntax error at line 1, column 1"),
        ("xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "error: entities, anchors and aliases are not allowed"),
        ("yaml", "name: Ann\nage: 31", "valid"),
        ("yaml", "name: Ann\nage: old", '/age: "old" is not of type "integer"'),
        ("yaml", "name: Ann\nage: [", f"{NO_YAML}: did not find expected node content at line 3, column 1"),
        ("yaml", "name: &a Ann\nage: *a", "error: entities, anchors and aliases are not allowed"),
        ("yaml", "Ann", NO_YAML),
    ],
)  # fmt: skip
def test_other_notations_are_told_likewise(answer_format: AnswerFormat, draft: str, said: str) -> None:
    assert body(draft, answer_format) == said


def test_every_category_of_the_parser_has_its_words() -> None:
    assert set(NOT_READ) == set(get_args(ParseError))


@pytest.mark.parametrize("draft", [GOLD, '{"name": "Bob", "age": 1}', '{"name": "Ann"}', "{", ""])
def test_the_gold_makes_no_difference(draft: str) -> None:
    golds = (GOLD, '{"name": "Bob", "age": 1}', "no json", None)
    assert len({observe(draft, to=task(gold)) for gold in golds}) == 1


def test_a_defective_schema_is_no_finding_about_the_draft() -> None:
    observation = observe(GOLD, to=task(schema='{"$ref": "#/nowhere"}'))
    assert "schema is defective" in observation.text and observation.digest is None


def test_a_digest_is_that_of_the_value_and_what_is_said_of_it() -> None:
    assert observe(GOLD).digest == observe('{"age":31,\n "name":"Ann"}').digest
    drafts = [GOLD, '{"name": "Bob", "age": 1}', '{"name": "Bob"}', f"{GOLD} so", "{", "[", ""]
    assert len({observe(draft).digest for draft in drafts}) == len(drafts)


@pytest.mark.parametrize("answer_format", get_args(AnswerFormat))
@given(text=st.text(max_size=60) | st.text(alphabet='{}[]",:<>/value!&;-\n 1a', max_size=60))
def test_hostile_drafts_never_raise(answer_format: AnswerFormat, text: str) -> None:
    environment = JsonEnvironment(tags=TAGS, answer_format=answer_format)
    observation = environment.observe(task(), Transcript.of(f"<draft>{text}</draft>"))
    assert observation is None or observation.ends_episode or observation.text.endswith("</check>\n")


def test_a_draft_is_not_taken_for_the_answer() -> None:
    environment = JsonEnvironment(tags=TAGS)
    drafted = Segment(author="model", text=f"<think>a</think><draft>{GOLD}</draft>")
    checked = Segment(author="environment", text="<check>\nvalid\n</check>\n")
    endings = ["", "<think>b</think>", '<think>b</think><answer>{"name": "Bob", "age": 1}</answer>', f"<answer>{GOLD}</answer>"]  # fmt: skip # noqa: E501
    transcripts = [
        Transcript(segments=(drafted, checked, *([Segment(author="model", text=text)] if text else [])))
        for text in endings
    ]
    verdicts = environment.judge([(task(), transcript) for transcript in transcripts])
    assert [verdict.error for verdict in verdicts] == ["no answer", "no answer", "wrong value", None]
    assert [verdict.layout.defect for verdict in verdicts[2:]] == [None, None]
    assert environment.observe(task(), transcripts[3]) == END


@pytest.mark.parametrize("answer_format", get_args(AnswerFormat))
def test_the_reference_needs_no_steps(answer_format: AnswerFormat) -> None:
    environment = JsonEnvironment(tags=TAGS, answer_format=answer_format)
    reference = environment.reference(task())
    assert reference is not None
    (verdict,) = environment.judge([(task(), Transcript.of(reference))])
    assert verdict.is_correct


def test_the_prompt_offers_checks_only_where_they_are_answered() -> None:
    text: Any = JsonEnvironment(tags=TAGS, max_steps=2).prompt(task())[0]["content"]
    parts = [
        "<think></think>",
        "at most 2",
        "<draft></draft>",
        "<check></check>",
        "Last",
        "<answer></answer>",
        "Schema",
    ]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "draft" not in JsonEnvironment(tags=Tags(answer="answer")).prompt(task())[0]["content"]
