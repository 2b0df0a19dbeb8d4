"""Real datasets for tests: read where they are found, skipped with the reason where they are not.

``STRUCTRL_DATA`` names a folder that holds the datasets, unpacked (``spider/``) or packed (``spider.tar.xz``).
Without it the folder ``shared/data`` beside the checkout is tried.
"""

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before torch is imported, here and in every process that a test starts: on two-layer models a second thread costs more
# than it brings (measured: 3.5 times), and tests run beside each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]

STEP_TAGS = {"step": "intermediate_sql", "answer": "final_sql"}


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Databases and models that tests build do not end in the user's cache, nor come from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTRL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def dataset_directory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Returns a function of (dataset, one of its files) that finds the folder in which that file lies."""
    home = Path(os.environ.get("STRUCTRL_DATA", ROOT.parent / "shared" / "data"))

    def find(dataset: str, marker: str) -> Path:
        folder = home / dataset
        if not folder.is_dir():
            archive = home / f"{dataset}.tar.xz"
            if not archive.exists():
                pytest.skip(f"needs the dataset '{dataset}': neither {folder} nor {archive} exists (set STRUCTRL_DATA)")
            folder = tmp_path_factory.getbasetemp() / dataset
            if not folder.is_dir():
                with tarfile.open(archive) as packed:
                    packed.extractall(folder, filter="data")
        found = next(iter(sorted(folder.rglob(marker))), None)
        if found is None:
            pytest.skip(f"the dataset '{dataset}' at {folder} lacks {marker}")
        return found.parent

    return find


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer Llama and its tokenizer; one for the session, so tests must not write to it."""
    from tiny_model import build_tiny_model  # late: it imports torch

    return build_tiny_model(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def tagging_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``tiny_model``, but it draws the tags of ``STEP_TAGS`` often."""
    from tiny_model import build_tagging_model

    tags = [f"<{mark}{name}>" for name in STEP_TAGS.values() for mark in ("", "/")]
    return build_tagging_model(tmp_path_factory.mktemp("tagging_model"), tags)
