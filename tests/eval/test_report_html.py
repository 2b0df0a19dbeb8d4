"""report.html as text: its data come out as they went in, nothing of them is markup, nothing is loaded."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evaluations import HOSTILE, card, hostile_record, record, summed_up
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.rollout import Ledger
from eval.page_data import MOST_CHARACTERS, embedded, page_data
from eval.records import CandidateRecord, Record
from eval.report_html import page

anything = st.text(st.characters() | st.sampled_from("<>&/!-'\"\\\u2028\u2029\ud800")) | st.sampled_from(HOSTILE)


class Elements(HTMLParser):
    """The tags of a page, and the text of its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][1].get("id") == "data":
            self.data += data


def written(*texts: str, title: str = "T") -> str:
    """The page of answers that hold these texts."""
    answers = [hostile_record(text, task=f"{number} {text}") for number, text in enumerate(texts)]
    cards = [card(answer.task, answer.text, {"kind": answer.text}) for answer in answers]
    return page(summed_up(*answers), cards, [], {}, title=title, model="m", resolved="", costs={})


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(anything, st.lists(anything)))
def test_whatever_is_embedded_comes_out_again_and_holds_no_markup(data: dict[str, list[str]]) -> None:
    text = embedded(data)
    assert json.loads(text) == data
    assert text.isascii() and not set("<>&") & set(text)


def test_numbers_that_json_does_not_know_are_text() -> None:
    assert json.loads(embedded([float("nan"), {"a": float("-inf")}, 1.5, (2,)])) == ["nan", {"a": "-inf"}, 1.5, [2]]


def test_hostile_texts_add_no_element_to_the_page() -> None:
    harmless, hostile = Elements(written("a")), Elements(written(*HOSTILE, title="</title><script>alert(1)</script>"))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert set(HOSTILE) <= set(json.loads(hostile.data)["texts"])


def test_the_page_loads_nothing_and_runs_only_what_its_policy_names() -> None:
    text = written("a")
    elements = Elements(text)
    assert not [tag for tag, attributes in elements.tags if attributes.get("src") or tag == "iframe"]
    assert [attributes["href"] for tag, attributes in elements.tags if tag == "link"] == ["data:,"]
    policy = next(each["content"] for tag, each in elements.tags if tag == "meta" and each.get("http-equiv"))
    assert policy is not None
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'" and "unsafe" not in policy
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        body = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert directives[name] == f"'sha256-{digest}'"


def test_the_pages_script_never_parses_text_as_markup() -> None:
    folder = Path(page.__code__.co_filename).parent / "report_page"
    scripts = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.js"))
    forbidden = (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
        "style.",
    )
    assert not [word for word in forbidden if word in scripts]
    assert "</" not in scripts and "<!--" not in scripts


def test_equal_texts_are_stored_once_and_tasks_come_in_the_order_of_their_cards() -> None:
    answers = [record("same", task="b"), record("same", task="a"), record("other", task="c", decoding="greedy")]
    found = page_data(summed_up(*answers), [card("a"), card("b")], {("greedy", "c"): Ledger(verifier_calls=2)})
    assert [task["id"] for task in found["tasks"]] == ["a", "b", "c"]
    assert sorted(found["texts"]) == ["Answer.", "How many?", "other", "same"]
    first, second, third = found["tasks"]
    assert first["answers"][0]["segments"] == second["answers"][0]["segments"]
    assert third["reference"] is None and third["messages"] == []
    assert third["costs"] == {1: {"verifier_calls": 2}} and first["costs"] == {}
    assert found["left_out"] == ""


def test_equal_facts_and_errors_of_grammars_are_stored_once() -> None:
    answers = [
        record(f"{place}", task=f"{place}", facts={"rows": [1, None], "late": float("inf")}, grammar_error="long " * 99)
        for place in range(3)
    ]
    found = page_data(summed_up(*answers), [], {})
    assert found["facts"] == [{"rows": [1, None], "late": float("inf")}]
    assert embedded(found).count("long " * 99) == 1
    assert [task["answers"][0]["facts"] for task in found["tasks"]] == [0, 0, 0]


def searched(tasks: int) -> list[Record]:
    """Answers with 6 kB of candidates, 3 kB of facts and 1 kB of text each."""
    return [
        record(
            f"{task:04}" * 250,
            task=f"{task}",
            facts={"message": f"{task:04}" * 750},
            candidates=tuple(
                CandidateRecord(text=f"{place}{task:04}" * 600, score=0.5, digest="d" * 99, is_chosen=False, tokens=9)
                for place in range(2)
            ),
        )
        for task in range(tasks)
    ]


@pytest.mark.parametrize(
    ("most", "candidates", "facts", "tasks", "told"),
    [
        (150_000, True, True, 10, ""),
        (70_000, False, True, 10, "the texts of the candidates of searches. records.jsonl"),
        (30_000, False, False, 10, "searches, the facts of verdicts. records.jsonl"),
        (10_000, False, False, 6, "the facts of verdicts, 4 of 10 tasks. records.jsonl"),
        (100, False, False, 0, "10 of 10 tasks"),
    ],
)
def test_a_page_that_would_be_too_large_says_what_it_left_out(
    most: int, candidates: bool, facts: bool, tasks: int, told: str
) -> None:
    found = page_data(summed_up(*searched(10)), [], {}, most=most)
    assert len(found["tasks"]) == tasks and told in found["left_out"] and bool(told) == bool(found["left_out"])
    assert len(embedded([found["tasks"], found["texts"], found["facts"]])) <= most
    assert (len(found["facts"]) == 10) == facts
    # Nothing is left of tasks that are left out.
    assert len(found["texts"]) == (30 if candidates else tasks)
    for task in found["tasks"]:
        answer = task["answers"][0]
        assert found["texts"][answer["answer"]].startswith(f"{int(task['id']):04}")
        assert [row[0] is not None for row in answer["candidates"]] == [candidates, candidates]
        assert answer["candidates"][0][1:] == [0.5, "d" * 40, False, 9]
        assert (answer["facts"] is not None) == facts


def test_the_page_says_what_it_left_out() -> None:
    evaluation = summed_up(*searched(10))
    written = {
        most: page(evaluation, [], [], {}, title="T", model="m", resolved="", costs={}, most=most)
        for most in (30_000, MOST_CHARACTERS)
    }
    data = {most: json.loads(Elements(text).data) for most, text in written.items()}
    assert data[30_000]["left_out"].startswith("Left out to keep this page below 0.03 MB: the texts")
    assert data[MOST_CHARACTERS]["left_out"] == ""
    assert all('id="left-out"' in text for text in written.values())
