"""Reports: whatever models and datasets write stays inside its block or cell, and reaches the files."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.rollout import Ledger
from eval.intervals import Estimate
from eval.measurement import Evaluation, Measurement, Record, evaluation_from_json
from eval.plots import save_metrics
from eval.report import (
    LONGEST_ANSWER,
    change_table,
    error_table,
    fenced,
    interval,
    quoted,
    skipped_lines,
    table,
    transcripts,
    whole_directory,
    write_evaluation,
)

HOSTILE = [
    "```\n# Not a heading\n```",
    "`` ` ``",
    "| a | b |\n|---|---|",
    "a \\| b | c",
    "<script>alert(1)</script>\n\n<!-- -->",
    "\n\n# Heading\n\n---\n![x](http://example.com/x.png)",
    "\x00\x07\x1b[31mred\x1b[0m\x7f\x85",
    "\u2028# line separator\u2029\x0b\x0c\r# carriage\r\n",
    "\ud800 lone \udfff",
    "\u202ereversed\u200b",
    "\t{\n\t\t1}",
    "",
    "\n",
    "x" * 100_000,
    "\n" * 50_000,
]
anything = st.text(st.characters() | st.sampled_from("`|<>\\\n\r\t#\u2028\ud800")) | st.sampled_from(HOSTILE)


def record(text: str = "", task: str = "task-1", decoding: str = "free") -> Record:
    """A judged answer."""
    return Record(
        task=task,
        decoding=decoding,
        sample=0,
        labels={"difficulty": "easy"},
        text=text,
        finish="eos",
        metrics={"valid": 1.0, "content": None},
        error="not json",
        unjudged=None,
        grammar_error=None,
        grammar_lenient=None,
        is_closed=False,
        generated_tokens=3,
    )


def measurement(mean: float = 0.5, low: float = 0.25, high: float = 0.75, unjudged: int = 0) -> Measurement:
    """Two metrics, one of which could not be judged."""
    metrics = {"valid": Estimate(mean=mean, low=low, high=high, count=4), "content": None}
    return Measurement(
        metrics=metrics,
        by_label={"difficulty": {"easy": metrics}},
        errors={"not json": 2},
        answers=4,
        unjudged=unjudged,
        without_grammar=1,
        lenient_grammar=2,
        closed=1,
        ledger=Ledger(generated_tokens=12, prefilled_tokens=34, generate_seconds=1.0),
    )


def evaluation(*records: Record) -> Evaluation:
    """One decoding of some answers."""
    return Evaluation(measurements={"free": measurement(unjudged=1)}, records=records)


@given(anything)
def test_every_line_of_model_text_is_in_the_code_block(text: str) -> None:
    block = quoted(text)
    block.encode()
    # Every line break that any Markdown parser or terminal knows, not "\n" alone.
    assert all(line.startswith("    ") for line in re.split("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", block))
    assert block.strip()
    assert len(block) <= 6 * (LONGEST_ANSWER + 20)


def test_an_answer_reads_as_it_was_written() -> None:
    assert quoted('{"a": 1,\n "b": "ü|`<"}') == '    {"a": 1,\n     "b": "ü|`<"}'
    assert quoted("\tx") == "        x"
    assert "empty" in quoted("") and "white space" in quoted(" \n")


@given(st.lists(anything, min_size=2, max_size=2))
def test_a_cell_neither_ends_nor_breaks_its_row(texts: list[str]) -> None:
    written = table(["a", "b"], [texts])
    written.encode()
    assert len(written.splitlines()) == 3
    assert written.splitlines()[2].count("|") == 3
    assert "<" not in written


@given(anything)
def test_a_fence_is_longer_than_any_inside(text: str) -> None:
    first, *_, last = fenced(text, "yaml").split("\n")
    assert first == f"{last}yaml" and set(last) == {"`"} and len(last) >= 3
    assert last not in text


def test_a_transcript_keeps_to_its_block_whatever_it_says() -> None:
    hostile = record("```\n# H1\n<b>\n", task="a\n# id | <b>", decoding="fr|ee")
    written = transcripts([hostile, record("fine")], 4)
    headings = [line for line in written.split("\n") if not line.startswith("    ") and line]
    assert len(headings) == 2 and all(line.startswith("**") for line in headings)
    assert "unjudged" in written


@pytest.mark.parametrize("text", HOSTILE)
def test_anything_a_model_writes_reaches_the_files(text: str, tmp_path: Path) -> None:
    answer = record(text, task=f"task {text[:50]}")
    measured = evaluation(answer)
    write_evaluation(
        tmp_path, measured, title="T", model="m", resolved="a: '```'\n", skipped={f"reason {text[:50]}": 2}
    )
    lines = (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == [text]
    summary = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert summary["measurements"]["free"]["metrics"]["valid"]["mean"] == 0.5
    assert summary["skipped"] == {f"reason {text[:50]}": 2}
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    headings = [line for line in report.split("\n") if line.startswith("#")]
    expected = ["# T", "## What was wrong", "## Strata", "### free, by difficulty", "## Cost", "## Sample answers"]
    assert headings == [*expected, "## Data", "## Configuration"]
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "a: '```'\n"


def test_a_measurement_survives_json() -> None:
    measured = evaluation(record("\ud800 ü"), record("b", task="task-2"))
    assert evaluation_from_json(json.loads(json.dumps(asdict(measured)))) == measured


def test_the_report_says_how_many_answers_stand_behind_a_number(tmp_path: Path) -> None:
    write_evaluation(tmp_path, evaluation(record()), title="T", model="m", resolved="", skipped={})
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    counts = "4, 1 unjudged, 1 without grammar, 2 under a part of their grammar, 1 closed by the budget"
    assert f"| free | 0.500 [0.250, 0.750] | - | {counts} |" in report
    assert "| easy | 4 | 0.500 [0.250, 0.750] | - |" in report
    assert "| free | 12 | 34 | 1.0 | 0.00 |" in report
    assert "No row was left out." in report


def test_a_change_is_the_difference_and_whether_the_intervals_are_apart() -> None:
    before, after = {"free": measurement(0.2, 0.1, 0.3)}, {"free": measurement(0.8, 0.7, 0.9)}
    row = change_table(before, after).splitlines()[2]
    assert row == "| free | valid | 0.200 [0.100, 0.300] | 0.800 [0.700, 0.900] | +0.600 | yes |"
    assert change_table(before, after).splitlines()[3] == "| free | content | - | - | - | - |"
    assert change_table(after, before).splitlines()[2].endswith("| -0.600 | yes |")
    assert change_table(before, before).splitlines()[2].endswith("| +0.000 | no |")


def test_errors_are_counted_by_decoding() -> None:
    assert error_table({"free": measurement()}).splitlines()[2] == "| not json | 2 |"
    assert skipped_lines({"no gold": 3}) == "- 3 rows left out: no gold"
    assert interval(None) == "-"


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "runs" / "a") as building:
        (building / "file").write_text("x")
        assert not (tmp_path / "runs" / "a").exists()
    assert [path.name for path in (tmp_path / "runs" / "a").iterdir()] == ["file"]
    with pytest.raises(KeyboardInterrupt), whole_directory(tmp_path / "runs" / "b") as building:
        (building / "file").write_text("x")
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_a_metric_that_was_never_judged_does_not_spoil_the_picture(tmp_path: Path) -> None:
    save_metrics(tmp_path / "metrics.png", {"free": measurement(), "constrained": measurement(1.0, 1.0, 1.0)})
    assert (tmp_path / "metrics.png").read_bytes().startswith(b"\x89PNG")
