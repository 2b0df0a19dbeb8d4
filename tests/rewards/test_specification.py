"""specification/*.yaml: what each answer is worth, part by part."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from envs.options import construct
from envs.registry import ENVIRONMENTS
from envs.task import Task
from envs.transcript import Transcript
from rewards.registry import COMPONENTS, component

TABLES = Path(__file__).parent / "specification"
ROWS = [
    pytest.param(kind, row, id=f"{kind}-{number}")
    for kind in sorted(ENVIRONMENTS)
    for number, row in enumerate(yaml.safe_load((TABLES / f"{kind}.yaml").read_text()))
]


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_every_answer_is_worth_what_the_table_says(
    kind: str, row: Mapping[str, Any], make_task: Callable[[Mapping[str, Any]], Task]
) -> None:
    environment = construct("environment", kind, ENVIRONMENTS, row.get("environment", {}))
    task = make_task(row)
    verdicts = environment.judge([(task, Transcript.of(line["answer"])) for line in row["answers"]])
    wrong = []
    for line, verdict in zip(row["answers"], verdicts, strict=True):
        assert verdict.unjudged is None
        parts = {name: component(environment, name).measure(verdict) for name in line["parts"]}
        if parts != pytest.approx(line["parts"], abs=1e-6) or verdict.error != line["error"]:
            wrong.append(f"{line['answer']!r}\n  is {verdict.error}: {parts}\n  not {line['error']}: {line['parts']}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", sorted(ENVIRONMENTS))
def test_the_table_speaks_of_every_part_that_needs_no_options_and_no_official_metric(kind: str) -> None:
    rows = yaml.safe_load((TABLES / f"{kind}.yaml").read_text())
    spoken = {name for row in rows for line in row["answers"] for name in line["parts"]}
    official = {"spider_execution", "spider_test_suite", "spider_exact_match", "bird_execution", "soft_f1", "r_ves"}
    general = {"finished", "length", "plan_coverage", "format", "tag_share"}
    published = {"sql_r1_length"}
    assert set(COMPONENTS[kind]) - official - general - published <= spoken
