"""Where cached files go."""

from pathlib import Path

import pytest

from envs.cache import cache_directory


def test_the_own_variable_wins_over_the_shared_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRUCTRL_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_directory("models") == tmp_path / "own" / "models"
    assert (tmp_path / "own" / "models").is_dir()


@pytest.mark.parametrize("own", [None, ""])
def test_the_shared_variable_is_used_when_the_own_one_is_unset_or_empty(
    own: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STRUCTRL_CACHE", raising=False)
    if own is not None:
        monkeypatch.setenv("STRUCTRL_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_directory("databases") == tmp_path / "shared" / "structrl" / "databases"


@pytest.mark.parametrize("shared", ["", "relative/folder"])
def test_an_empty_or_relative_shared_variable_counts_as_unset(
    shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STRUCTRL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", shared)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory("databases") == tmp_path / ".cache" / "structrl" / "databases"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp", "a/"])
def test_a_cache_is_named_by_one_path_component(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRUCTRL_CACHE", str(tmp_path / "own"))
    with pytest.raises(ValueError, match="one path component"):
        cache_directory(name)
    assert not (tmp_path / "own").exists()
