"""Generation windows: micro-batches of whole groups, and what a checkpoint keeps of them."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl import GRPOConfig

from decoding.rollout import GrammarSpan
from envs.errors import ConfigurationError
from envs.grammar import Block, Grammar, Region
from envs.sql.scope.catalogue import Catalogue
from envs.sql.scope.text import SqlScope
from train.records import CLASS
from train.window import Shape, load_window, require_same_window, save_window, split_by_groups, window_shape


@given(groups=st.integers(1, 6), size=st.integers(1, 5), parts=st.integers(1, 3))
def test_every_row_is_in_one_micro_batch_and_groups_stay_together(groups: int, size: int, parts: int) -> None:
    places = [place for place in range(groups * parts) for _ in range(size)]
    rows = torch.arange(len(places))
    names = [f"row {row}" for row in rows.tolist()]
    inputs = {
        "places": torch.tensor(places), "rows": rows, "wide": rows[:, None] * 10, "total": torch.tensor(7),
        "names": names,
    }  # fmt: skip
    batches = split_by_groups(inputs, places, parts)
    assert len(batches) == parts
    assert sorted(torch.cat([batch["rows"] for batch in batches]).tolist()) == rows.tolist()
    for batch in batches:
        assert torch.equal(batch["wide"][:, 0], batch["rows"] * 10) and batch["total"] == 7
        assert batch["names"] == [f"row {row}" for row in batch["rows"].tolist()]
        # Whole groups, each in the order in which it was sampled.
        for start in range(0, groups * size, size):
            group = batch["rows"][start : start + size].tolist()
            assert group == list(range(group[0], group[0] + size)) and group[0] % size == 0


def test_groups_change_places_by_torchs_state() -> None:
    places = [place for place in range(32) for _ in range(2)]
    inputs = {"rows": torch.arange(64)}

    def order() -> list[int]:
        return [row for batch in split_by_groups(inputs, places, 4) for row in batch["rows"].tolist()]

    torch.manual_seed(3)
    first = order()
    second = order()
    torch.manual_seed(3)
    assert order() == first != second


def test_a_window_is_read_back_as_it_was_by_the_process_that_wrote_it(tmp_path: Path) -> None:
    state = {"step": 3, "processes": 2, "inputs": [{"ids": torch.arange(4), "total": torch.tensor(1.5)}]}
    save_window(str(tmp_path), 1, state)
    kept = load_window(str(tmp_path), 1)
    assert kept is not None and kept["step"] == 3 and torch.equal(kept["inputs"][0]["ids"], torch.arange(4))
    assert load_window(str(tmp_path), 0) is None


def test_spans_of_grammars_are_kept_with_all_that_describes_them_and_one_grammar_stays_one(tmp_path: Path) -> None:
    scope = SqlScope(catalogue=Catalogue(tables=(("singer", ("name", "age")),)))
    scope.start()
    narrowed = Grammar(kind="regex", source="a", narrowing=scope)
    tagged = Grammar(kind="tagged", regions=(Region(blocks=(Block(content=narrowed, without=("b",)),)),))
    spans = [(), (GrammarSpan(start=0, end=3, grammar=tagged), GrammarSpan(start=5, end=6, grammar=tagged))]
    save_window(str(tmp_path), 0, {"step": 1, "inputs": [{"grammars": spans, "ids": torch.arange(2)}]})
    kept = load_window(str(tmp_path), 0)
    assert kept is not None and kept["inputs"][0]["grammars"] == spans
    one, other = kept["inputs"][0]["grammars"][1]
    assert one.grammar is other.grammar and hash(one.grammar) == hash(tagged)


@pytest.mark.parametrize("name", ["subprocess:Popen", "envs.grammar:GrammarKind", "envs.configuration:parse"])
def test_a_file_names_no_class_but_dataclasses_of_this_project(tmp_path: Path, name: str) -> None:
    torch.save({"inputs": {CLASS: name, "args": ["true"]}}, tmp_path / "window_0.pt")
    with pytest.raises(ValueError, match="no dataclass of envs or decoding"):
        load_window(str(tmp_path), 0)


def test_what_holds_rollouts_to_grammars_is_part_of_a_windows_shape() -> None:
    args = GRPOConfig(use_cpu=True, bf16=False)
    one, other = (window_shape(args, 2, mode) for mode in ("free", "masked"))
    assert {name for name in one if one[name] != other[name]} == {"rollout.grammar"} and one.keys() == other.keys()


def test_rollouts_that_are_not_used_up_are_for_a_run_of_the_same_shape(tmp_path: Path) -> None:
    shape: Shape = {"processes": 2, "steps_per_generation": 2, "beta": 0.0, "rollout.grammar": "free"}
    save_window(str(tmp_path), 0, {"step": 3, "shape": shape, "inputs": [{"ids": torch.arange(4)}]})
    require_same_window(str(tmp_path), 0, dict(shape))
    with pytest.raises(ConfigurationError, match="steps_per_generation was 2 and is 4, beta was 0 and is 0.04"):
        require_same_window(str(tmp_path), 0, {**shape, "steps_per_generation": 4, "beta": 0.04})
    with pytest.raises(ConfigurationError, match="rollout.grammar was free and is masked"):
        require_same_window(str(tmp_path), 0, {**shape, "rollout.grammar": "masked"})
    # A process that was not there before has no file of its own.
    with pytest.raises(ConfigurationError, match="processes was 2 and is 4"):
        require_same_window(str(tmp_path), 3, {**shape, "processes": 4})
    save_window(str(tmp_path), 0, {"step": 4, "shape": shape, "inputs": None})
    require_same_window(str(tmp_path), 0, {**shape, "beta": 0.04})
