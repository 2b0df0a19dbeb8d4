"""What is answered to a draft of a JSON task's value: ``valid``, or the first thing that is wrong with it.

    /age: 121 is greater than the maximum of 120
    (1 more error)

The draft is read and validated by the judge's own code. Nothing of the gold is looked at, so a draft that is valid may
still be wrong. Where several things are wrong, the one is said that the verdict on the same answer would name.
"""

import hashlib
import json
import re
from pyexpat import ErrorString, ParserCreate
from pyexpat import ExpatError as XmlError

import yaml

from envs.json.judge import JudgeSettings, parse_answer
from envs.json.parsing import WHITESPACE, Parsed, ParseError
from envs.json.schema import Validation, compile_schema
from envs.json.task import JsonTask
from envs.observation import Finding

VALID = "valid"
UNCHECKED = Finding(text="(drafts cannot be checked: the schema is defective)")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
NOT_READ: dict[ParseError, str] = {
    "no answer": "the draft is empty",
    "too long": "it is too long",
    "too deep": "its arrays and objects nest too deep",
    "duplicate key": "an object has a key twice",
    "not finite": "a number is not finite",
    "number too long": "a number has too many digits",
    "lone surrogate": "a string holds half of a surrogate pair",
    "entity": "entities, anchors and aliases are not allowed",
    "tag": "tags are not allowed",
    "extra text": "there is other text beside the value",
    "not json": "it is not JSON",
    "not xml": "it is not XML as it is asked for",
    "not yaml": "it is not YAML as it is asked for",
}


def find(step: str, task: JsonTask, settings: JudgeSettings) -> Finding:
    """What is wrong with a draft. Its digest is that of the draft's value, however it is written, and what is said.

    Args:
        step: the text of the step.
        settings: of the judge.
    """
    schema = compile_schema(task.schema, should_check_formats=settings.should_check_formats)
    if schema.defect is not None:
        return UNCHECKED
    parsed = parse_answer(step, task, settings)
    if parsed.error is not None:
        text = not_read(step.strip(WHITESPACE), parsed, parsed.error)
    else:
        text = _validated(schema.validate(parsed.value))
    return Finding(text=text, digest=_digest(step, parsed, text))


def not_read(draft: str, parsed: Parsed, error: ParseError) -> str:
    """What is said of a text that is no value alone, without white space around it."""
    said = f"error: {NOT_READ[error]}"
    if error == "not json":
        return said + _json_place(draft, len(draft) - len(parsed.fragment or ""))
    if error == "not xml":
        return said + _xml_place(draft)
    return said + _yaml_place(draft) if error == "not yaml" else said


def _json_place(draft: str, start: int) -> str:
    try:
        json.JSONDecoder().raw_decode(draft, start)
    except json.JSONDecodeError as error:
        return f": {error.msg} at line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):  # numbers and nesting that the judge refuses
        pass
    return ""


def _xml_place(draft: str) -> str:
    parser = ParserCreate("utf-8")
    try:  # a declaration of entities, which could multiply, would have been refused as such
        parser.Parse(LONE_SURROGATE.sub("\ufffd", draft).encode(), True)
    except XmlError as error:
        return f": {ErrorString(error.code)} at line {error.lineno}, column {error.offset + 1}"
    return ""


def _yaml_place(draft: str) -> str:
    loader = yaml.CSafeLoader(LONE_SURROGATE.sub("\ufffd", draft))
    try:
        while loader.check_event():
            loader.get_event()
    except yaml.MarkedYAMLError as error:
        if error.problem_mark is not None:
            mark = error.problem_mark
            return f": {error.problem} at line {mark.line + 1}, column {mark.column + 1}"
    except yaml.YAMLError:
        pass
    finally:
        loader.dispose()
    return ""


def _validated(validation: Validation) -> str:
    if validation.is_valid:
        return VALID
    if validation.has_given_up:
        return "error: a regular expression of the schema gave up on a string of it"
    if not validation.found:
        return "error: it does not obey the schema"
    first = validation.errors[0]
    more = len(validation.found) - 1
    remark = f"\n({more} more error{'s' * (more != 1)})" if more else ""
    return f"{first.pointer or 'the whole value'}: {first.message}{remark}"


def _digest(step: str, parsed: Parsed, text: str) -> str:
    """Two valid drafts are told apart by their values: it is the draft that the rest of the episode builds on."""
    draft = json.dumps(parsed.value, sort_keys=True) if parsed.is_found else step.strip(WHITESPACE)
    return hashlib.sha256(json.dumps([draft, text]).encode()).hexdigest()
