"""Reports: whatever models and datasets write stays inside its block or cell, and reaches the files."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from evaluations import HOSTILE, card, hostile_record, record, summed_up
from hypothesis import given
from hypothesis import strategies as st

from decoding.rollout import Ledger
from envs.sql.metrics.bird_execution import r_ves
from eval.intervals import Estimate
from eval.markdown_text import LONGEST_ANSWER, Table, fenced, quoted, table
from eval.measurement import Measurement, evaluation_from_json
from eval.record_lines import record_from_json
from eval.report import write_evaluation
from eval.report_tables import (
    change_table,
    comparison_table,
    cost_table,
    error_table,
    in_order,
    interval,
    metrics_table,
    note_table,
    skipped_lines,
    timing_table,
    transcripts,
)
from rewards.sql_execution import r_ves_score

anything = st.text(st.characters() | st.sampled_from("`|<>\\\n\r\t#\u2028\ud800")) | st.sampled_from(HOSTILE)

SECTIONS = [
    "# T",
    "## Compared with free",
    "## What was wrong",
    "## Cost",
    "### Coverage of schemas",
    "## Strata",
    "### free, by difficulty",
    "## Grammars and judge",
    "## Sample answers",
    "## Data",
    "## Configuration",
]


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


def test_a_table_without_rows_says_so_and_a_note_stays_below_the_rows() -> None:
    assert str(Table(header=["a"], rows=[], if_empty="None.", note="n")) == "None."
    assert str(Table(header=["a"], rows=[["1"]], note="a | b")).endswith("| 1 |\n\na &#124; b")


def test_a_transcript_keeps_to_its_block_whatever_it_says() -> None:
    hostile = record("```\n# H1\n<b>\n", task="a\n# id | <b>", decoding="fr|ee")
    written = transcripts([hostile, record("fine")], 4)
    headings = [line for line in written.split("\n") if not line.startswith("    ") and line]
    assert len(headings) == 2 and all(line.startswith("**") for line in headings)
    assert "unjudged" in written


def test_anything_a_model_writes_reaches_the_files(tmp_path: Path) -> None:
    answers = [
        hostile_record(text, task=f"{number} {text[:50]}", labels={"difficulty": "easy"})
        for number, text in enumerate(HOSTILE)
    ]
    skipped = {f"reason {text[:50]}": 2 for text in HOSTILE}
    cards = [card(answer.task, answer.text) for answer in answers]
    write_evaluation(
        tmp_path, summed_up(*answers), title="T", model="m", resolved="a: '```'\n", skipped=skipped, cards=cards
    )
    lines = (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert [record_from_json(json.loads(line)) for line in lines] == answers
    tasks = (tmp_path / "tasks.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["reference"] for line in tasks] == [each.reference for each in cards]
    summary = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert summary["measurements"]["free"]["metrics"]["valid"]["mean"] == 1.0
    assert summary["skipped"] == skipped and summary["configuration"] == "a: '```'\n"
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert [line for line in report.split("\n") if line.startswith("#")] == SECTIONS
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "a: '```'\n"


def test_hostile_names_of_decodings_and_labels_stay_in_their_headings(tmp_path: Path) -> None:
    answers = [
        hostile_record("x", decoding=f"{number}{text[:40]}", labels={text[:40]: text[:40], "b": f"{number}"})
        for number, text in enumerate(HOSTILE[3:13:2])
    ]
    evaluation = summed_up(*answers)
    write_evaluation(tmp_path, evaluation, title="T\n# x", model="m`\n", resolved="", skipped={}, cards=[])
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    headings = [line for line in report.split("\n") if line.startswith("#")]
    assert len(headings) == len(SECTIONS) - 1 + sum(len(each.by_label) for each in evaluation.measurements.values())
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {"metrics", "cost_curve", "failures", "strata"}


def test_a_measurement_survives_json() -> None:
    measured = summed_up(hostile_record("\ud800 ü", candidates=()), record("b", task="task-2"))
    assert evaluation_from_json(json.loads(json.dumps(asdict(measured)))) == measured


def test_the_report_compares_every_decoding_with_the_first_on_the_same_tasks(tmp_path: Path) -> None:
    answers = [
        record(task=f"{place}", decoding=decoding, metrics={"valid": value})
        for decoding, values in {"greedy": [1.0, 0.0, 0.0, 0.0, None], "best": [1.0, 1.0, 1.0, 0.0, 1.0]}.items()
        for place, value in enumerate(values)
    ]
    write_evaluation(tmp_path, summed_up(*answers), title="T", model="m", resolved="", skipped={}, cards=[])
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found["compared_with"] == "greedy" and found["tasks"] == {"greedy": 5, "best": 5}
    compared = found["comparisons"]["best"]["valid"]
    assert compared["agreement"] == {"both": 1, "first_only": 0, "second_only": 2, "neither": 1}
    assert (compared["tasks"], compared["unjudged"], compared["p_value"]) == (4, 1, 0.5)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| best | valid | 4 | 0.250 | 0.750 | +0.500 [" in report and "| 0.500 | 0 | 2 | McNemar |" in report
    assert "Left out: 1 pairs" in report


def test_the_report_says_how_many_answers_stand_behind_a_number(tmp_path: Path) -> None:
    answers = [
        record(task="1", grammar_error="no grammar", is_closed=True),
        record(task="2", grammar_lenient="/properties/a", metrics={"valid": 0.0, "content": None}),
        record(task="3", unjudged="deadline", error=None, metrics={"valid": None, "content": None}),
    ]
    ledger = Ledger(
        generated_tokens=12, prefilled_tokens=34, verifier_calls=5, judged=3, generate_seconds=1.0, verify_seconds=0.5
    )
    write_evaluation(
        tmp_path, summed_up(*answers, ledger=ledger), title="T", model="m", resolved="", skipped={}, cards=[]
    )
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    counts = "3, 1 unjudged, 1 without grammar, 1 under a part of their grammar, 1 closed by the budget"
    assert f"| free | 0.500 [0.095, 0.905] | - | {counts} |" in report
    assert "| easy | 2 | 0.500 [0.095, 0.905] | - |" in report
    assert "| free | 12 | 4.0 | 34 | 5 | 0 | 0 | 3 | 1.0 | 0.50 | 0.00 | 0.0 % |" in report
    for note in ("without grammar | no grammar", "a part of the grammar | /properties/a", "unjudged | deadline"):
        assert f"| free | {note} | 1 |" in report
    assert "No row was left out." in report


def test_several_samples_tell_how_many_tasks_any_of_them_solves(tmp_path: Path) -> None:
    rights = {"1": [1, 0, 0, 0], "2": [1, 1, 1, 1], "3": [0, 0, 0, 0], "4": [1, 1, 0, None]}
    answers = [
        record(task=task, sample=sample, decoding="sampled", metrics={"valid": value, "content": 0.5})
        for task, values in rights.items()
        for sample, value in enumerate(values)
    ]
    answers += [record(task=task, decoding="greedy", metrics={"valid": 1.0, "content": 0.5}) for task in rights]
    write_evaluation(tmp_path, summed_up(*answers), title="T", model="m", resolved="", skipped={}, cards=[])
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["pass_at_k"]
    # No rate, and no second sample: no pass@k.
    assert list(found) == ["sampled"] and list(found["sampled"]) == ["valid"]
    shares = found["sampled"]["valid"]
    assert {k: (each["mean"], each["count"]) for k, each in shares.items()} == {
        "1": (pytest.approx((1 / 4 + 1 + 0 + 2 / 3) / 4), 4),
        "2": ((1 / 2 + 1 + 0 + 1) / 4, 4),
        "4": (2 / 3, 3),  # of the last task too little was judged
    }
    row = "| sampled | valid | 0.479 ["
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "### pass@k" in report and row in report
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"title":"pass@k"' in page


def test_a_report_without_several_samples_has_no_pass_at_k(tmp_path: Path) -> None:
    write_evaluation(tmp_path, summed_up(record()), title="T", model="m", resolved="", skipped={}, cards=[])
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["pass_at_k"] == {}
    assert not [name for name in ("report.md", "report.html") if "pass@k" in (tmp_path / name).read_text()]


def test_r_ves_is_told_as_bird_publishes_it() -> None:
    rewards = [1.25, 0.5, 0.0]
    answers = [
        record(task=str(place), metrics={"correct": 1.0, "r_ves": r_ves_score(reward)})
        for place, reward in enumerate(rewards)
    ]
    table = metrics_table(summed_up(*answers).measurements)
    assert f": free {r_ves(rewards):.1f} [" in table.note and "111.8 times the mean of r_ves" in str(table)
    assert metrics_table(summed_up(record(metrics={"r_ves": None})).measurements).note == ""
    assert metrics_table(summed_up(record()).measurements).note == ""


def test_a_change_is_the_difference_and_whether_the_intervals_are_apart() -> None:
    before, after = {"free": measurement(0.2, 0.1, 0.3)}, {"free": measurement(0.8, 0.7, 0.9)}
    rows = [" | ".join(row) for row in change_table(before, after).rows]
    assert rows[0] == "free | valid | 0.200 [0.100, 0.300] | 0.800 [0.700, 0.900] | +0.600 | yes"
    assert rows[1] == "free | content | - | - | - | -"
    assert change_table(after, before).rows[0][-2:] == ["-0.600", "yes"]
    assert change_table(before, before).rows[0][-2:] == ["+0.000", "no"]


def test_costs_are_per_task_and_the_share_of_judging_is_of_both_times() -> None:
    measured = measurement()
    ledger = Ledger(generated_tokens=100, generate_seconds=9.0, judge_seconds=1.0)
    row = cost_table({"a": Measurement(**{**vars(measured), "ledger": ledger})}, {"a": 8}).rows[0]
    assert row[1:3] == ["100", "12.5"] and row[-1] == "10.0 %"
    assert cost_table({"a": Measurement(**{**vars(measured), "ledger": Ledger()})}, {}).rows[0][-1] == "-"


def test_times_of_first_turns_are_summed_up_where_the_engine_tells_them() -> None:
    timed = [record(timing={"first_token": float(each)}) for each in range(1, 22)]
    assert timing_table([record(), *timed]).rows == [["free", "first_token", "21", "11.000", "20.000"]]
    assert timing_table([record(timing={"first_token": 0.5})]).rows == [["free", "first_token", "1", "0.500", "0.500"]]
    assert not timing_table([record()]).rows


def test_the_most_frequent_notes_are_shown_and_the_others_counted() -> None:
    answers = [record(unjudged=f"reason {number}") for number in range(13)] + [record(unjudged="reason 12")]
    found = note_table(answers)
    assert len(found.rows) == 10 and found.rows[0] == ["free", "unjudged", "reason 12", "2"] and "3 " in found.note


def test_errors_are_counted_by_decoding() -> None:
    assert error_table({"free": measurement()}).rows == [["not json", "2"]]
    assert skipped_lines({"no gold": 3}) == "- 3 rows left out: no gold"
    assert interval(None) == "-"
    assert comparison_table({("a", "valid"): None}, "x", "y").rows == [["a", "valid", "0", *["-"] * 7]]


def test_difficulties_are_listed_from_easy_to_hard_and_other_values_as_they_come() -> None:
    assert in_order(["extra", "hard", "easy", "medium"]) == ["easy", "medium", "hard", "extra"]
    assert in_order(["b", "a"]) == ["b", "a"]
