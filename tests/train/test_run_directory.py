"""The files of a run: whole or absent, whatever text they hold."""

import json
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from eval.whole_file import write_json
from train.run_directory import RunDirectory


def test_json_files_hold_any_text_a_dataset_may_bring(tmp_path: Path) -> None:
    value = {"label": "lone \ud800 surrogate", "text": "naïve"}
    write_json(tmp_path / "new" / "value.json", value)
    assert json.loads((tmp_path / "new" / "value.json").read_text(encoding="utf-8")) == value
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["value.json"]


def test_resume_refuses_a_directory_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="no run"):
        RunDirectory.prepare(str(tmp_path), "notes", resume=True)
