"""Answers and schemas that are made to hang, exhaust or confuse a judge of JSON, and what each must be called.

Used by ``benchmarks/json_judge.py`` and by ``tests/envs/json/test_json_attacks.py``.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from envs.json.answer_format import AnswerFormat
from envs.json.task import JsonTask, MathGold
from envs.layout import Tags


@dataclass(frozen=True, kw_only=True)
class Bomb:
    """One hostile answer, or one answer under a hostile schema."""

    name: str
    category: str | None
    """What the verdict must say: its ``error``, or its ``unjudged``; None: the answer is right, if unusual."""
    answer: str = field(repr=False)
    schema: str = field(default="{}", repr=False)
    gold: str | MathGold | None = field(default=None, repr=False)
    answer_format: AnswerFormat = "json"
    tags: Tags = Tags()

    @property
    def task(self) -> JsonTask:
        """What the answer is given to."""
        return JsonTask(id=self.name, schema=self.schema, gold=self.gold)


def _nested(depth: int, leaf: Any, key: str | None = None) -> Any:
    for _ in range(depth):
        leaf = [leaf] if key is None else {key: leaf}
    return leaf


def _written(name: str, category: str | None, value: Any, schema: Any = True, gold: Any = None) -> Bomb:
    return Bomb(
        name=name,
        category=category,
        answer=json.dumps(value, ensure_ascii=False),
        schema=json.dumps(schema),
        gold=None if gold is None else json.dumps(gold),
    )


def _under(name: str, category: str | None, schema: Any, value: Any = 5) -> Bomb:
    return _written(name, category, value, schema)


PERSON = {"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
RECURSIVE = {"anyOf": [{"items": {"$ref": "#"}, "type": "array"}] * 2 + [{"type": "integer"}]}
RECURSIVE_OBJECT = {
    "$defs": {
        "n": {
            "oneOf": [
                {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["x"]},
                {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["y"]},
                {"type": "null"},
            ]
        }
    },
    "$ref": "#/$defs/n",
}
BACKTRACKING = r"^(?:(a+)\1?)+b$"
UNMATCHED = {
    "required": ["zz"],
    "patternProperties": {"^(a|a)*(?=b)c$": {"type": "number"}},
    "additionalProperties": False,
}
MANY_UNMATCHED = {
    "patternProperties": {f"^(a|a)*(?=b)c$|x{{{n}}}": True for n in range(1, 11)},
    "additionalProperties": False,
}
LAUGHS = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
XML_LAUGHS = (
    '<!DOCTYPE value [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
    + "]><value>&j;</value>"
)
YAML_LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n}, ' * 9}*a{n}]\n" for n in range(9))

NESTING = (
    Bomb(name="open brackets", category="too deep", answer="[" * 60_000),
    Bomb(name="closed brackets", category="too deep", answer="[" * 30_000 + "]" * 30_000),
    Bomb(name="open objects", category="too deep", answer='{"a":' * 10_000),
    Bomb(name="closed objects", category="too deep", answer='{"a":' * 9_000 + "1" + "}" * 9_000),
    Bomb(name="brackets behind prose", category="too deep", answer="So: " + "[" * 300 + "]" * 300),
    Bomb(name="a megabyte of brackets", category="too long", answer="[" * 1_000_000),
    Bomb(
        name="brackets in a string", category="not valid", answer=json.dumps("[" * 30_000), schema='{"type": "array"}'
    ),
)
NUMBERS = (
    Bomb(name="5,000 digits", category="number too long", answer="1" * 5_000),
    Bomb(name="5,000 digits in an object", category="number too long", answer='{"a": ' + "7" * 5_000 + "}"),
    Bomb(name="5,000 decimals", category="number too long", answer="0." + "3" * 5_000),
    Bomb(name="5,000 digits of exponent", category="number too long", answer="1e" + "9" * 5_000),
    Bomb(name="an exponent of nine digits", category="not finite", answer='{"a": 1e999999999}'),
    Bomb(name="not a number", category="not finite", answer='{"a": NaN}'),
    Bomb(name="minus infinity", category="not finite", answer="[-Infinity]"),
    _written("300 digits over a multipleOf", "not valid", 10**300 + 1, {"multipleOf": 0.01, "maximum": 5}),
    Bomb(
        name="a tower as the answer",
        category="not a number",
        answer='{"a": "9^{9^{9^{9^9}}}"}',
        gold=MathGold(value="18", pointer="/a"),
    ),
)
STRINGS = (
    Bomb(name="a megabyte of string", category="too long", answer='"' + "x" * 1_000_000 + '"'),
    Bomb(name="escaped quotes without an end", category="not json", answer='\\"' * 30_000),
    Bomb(name="objects that never get a key", category="too deep", answer='{"' * 30_000),
    Bomb(name="escapes without an end", category="not json", answer="[" + '"\\' * 30_000),
    Bomb(name="closing brackets", category="not json", answer="]}" * 30_000),
    Bomb(name="20,000 bracketed words", category="not json", answer="[x]" * 20_000),
    Bomb(name="20,000 bracketed words, then a value", category="not json", answer="[x]" * 20_000 + '{"a": 1}'),
    Bomb(name="quotes", category="not json", answer='"' * 60_001),
    Bomb(name="zero bytes", category="not json", answer="\x00" * 60_000),
    Bomb(name="an escaped half of a pair", category="lone surrogate", answer='{"a": "\\ud800"}'),
    Bomb(name="a raw half of a pair", category="lone surrogate", answer='{"a": "\ud800"}'),
    Bomb(name="a byte order mark", category="extra text", answer='\ufeff{"a": 1}'),
    _written("60,000 combining marks", "not valid", "e" + "\u0301" * 60_000, {"maxLength": 3}),
    _written("10,000 emoji", "wrong value", "😀" * 10_000, True, "😀" * 10_001),
    Bomb(name="10,000 escaped pairs", category=None, answer='"' + "\\ud83d\\ude00" * 5_000 + '"'),
    Bomb(
        name="9,000 opening tags", category="no answer", answer="<think>" * 9_000, tags=Tags(reasoning="think")
    ),
    Bomb(name="9,000 closing tags", category="no answer", answer="</think>" * 9_000, tags=Tags(reasoning="think")),
)  # fmt: skip
KEYS = (
    Bomb(name="a repeated key", category="duplicate key", answer='{"a": 1, "a": 1}'),
    Bomb(name="a key repeated by an escape", category="duplicate key", answer='{"a": 1, "\\u0061": 1}'),
    Bomb(name="5,000 equal keys", category="duplicate key", answer="{" + ",".join(['"a": 1'] * 5_000) + "}"),
    _written("4,000 keys too many", "not valid", {f"k{n}": n for n in range(4_000)}, PERSON),
    _written("a long key over many values", "not valid", {"k" * 30_000: [1] * 10_000},
             {"additionalProperties": {"items": False}}),
    _written("long keys in each other", "wrong value", _nested(60, 1, "k" * 900), True, {"a": 1}),
    _written("4,000 keys that the gold lacks", "wrong value", {f"k{n}": n for n in range(4_000)}, True, {"a": 1}),
    _written("4,000 keys against a pattern", "not valid", {f"k{n}": n for n in range(4_000)},
             {"propertyNames": {"pattern": "^(k+)+$"}}),
    _written("empty and numbered keys", "not valid", {"": {"": 1}, "007": 1, "7": 1},
             {"additionalProperties": {"type": "null"}}),
)  # fmt: skip
SCHEMAS = (
    _under("alternatives in themselves", "not valid", RECURSIVE, _nested(60, "leaf")),
    _under("alternatives in themselves, as objects", "not valid", RECURSIVE_OBJECT, _nested(60, 1, "a")),
    _under("100 alternatives for 5,000 items", "not valid",
           {"items": {"anyOf": [{"required": [f"k{i}{j}" for j in range(20)]} for i in range(100)]}}, [{}] * 5_000),
    _under("5,000 items that must differ", "not valid",
           {"uniqueItems": True}, [{"a": n} for n in range(5_000)] + [{"a": 0}]),
    _under("10,000 items that should contain another", "not valid", {"contains": {"const": -1}}, list(range(10_000))),
    _under("a catastrophic pattern", "not valid", {"pattern": "^(a+)+$"}, "a" * 60_000 + "!"),
    _under("a pattern that backtracks", "pattern limit", {"pattern": BACKTRACKING}, "a" * 60),
    _under("a pattern that backtracks, and an error", "not valid",
           {"properties": {"a": {"pattern": BACKTRACKING}, "b": {"type": "null"}}}, {"a": "a" * 60, "b": 1}),
    _under("3,000 strings that nearly backtrack too far", None,
           {"items": {"pattern": BACKTRACKING + "|^a*$"}}, ["a" * 10] * 3_000),
    _under("800 keys on which a pattern gives up", "not valid", UNMATCHED, {"a" * 40 + str(n): 1 for n in range(800)}),
    _under("50 keys on which a pattern gives up", "not valid", UNMATCHED, {"a" * 40 + str(n): 1 for n in range(50)}),
    _under("a key on which a pattern gives up, and one too many", "pattern limit",
           {**UNMATCHED, "required": []}, {"a" * 40: 1, "bogus": "x"}),
    _under("400 keys for ten patterns in 32 combinations", "pattern limit",
           {"allOf": [{"anyOf": [{**MANY_UNMATCHED, "title": f"{n}"}] * 2} for n in range(5)]},
           {"a" * 40 + str(n): 1 for n in range(400)}),
    _under("a pattern too large to compile", "defective schema", {"pattern": "((a{1,1000}){1,1000}){1,1000}"}),
    _under("40 definitions that double", "defective schema", {"$defs": {**LAUGHS, "a40": {}}, "$ref": "#/$defs/a0"}),
    _under("a schema that is itself", None, {"$ref": "#"}),
    Bomb(name="a schema nested 5,000 deep", category="defective schema", answer="5",
         schema='{"not":' * 5_000 + "true" + "}" * 5_000),
    _under("a reference to the network", "defective schema", {"$ref": "http://127.0.0.1:9/schema"}),
    _under("a reference to a file", "defective schema", {"$ref": "file:///etc/hostname"}),
    _under("an unknown dialect", "defective schema", {"$schema": "http://127.0.0.1:9/dialect"}),
)  # fmt: skip
FORMATS = (
    Bomb(name="XML that laughs a billion times", category="entity", answer=XML_LAUGHS, answer_format="xml"),
    Bomb(
        name="XML that reads a file",
        category="entity",
        answer='<!DOCTYPE value [<!ENTITY a SYSTEM "file:///etc/hostname">]><value>&a;</value>',
        answer_format="xml",
    ),
    Bomb(name="XML nested 5,000 deep", category="too deep", answer="<value>" + "<item>" * 5_000, answer_format="xml"),
    Bomb(name="YAML that laughs a billion times", category="entity", answer=YAML_LAUGHS, answer_format="yaml"),
    Bomb(name="YAML nested 100 deep", category="too deep", answer="[" * 100 + "]" * 100, answer_format="yaml"),
    Bomb(name="YAML nested 30,000 deep", category="not yaml", answer="[" * 30_000 + "]" * 30_000, answer_format="yaml"),
    Bomb(
        name="YAML that calls", category="tag", answer='!!python/object/apply:os.system ["true"]', answer_format="yaml"
    ),
)
BOMBS = (*NESTING, *NUMBERS, *STRINGS, *KEYS, *SCHEMAS, *FORMATS)
