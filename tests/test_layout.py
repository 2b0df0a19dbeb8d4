"""The rooms of the repository: who may import whom, what files may be called, what loads without torch.

Every Python file is read as a syntax tree, so that imports inside functions count too. Not covered: imports by a name
that is put together at run time.
"""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A room's height; it imports itself and what is lower. train may import eval, which measures before and after.
HEIGHTS = {"envs": 0, "data": 1, "rewards": 2, "decoding": 3, "eval": 4, "train": 5}
SCRIPT_ROOMS = ("train", "eval")
OUTSIDE = ("benchmarks", "tests")
LONGEST_FILE = 400

FILES = sorted(path for room in HEIGHTS for path in (ROOT / room).rglob("*.py"))
ALL_FILES = [*FILES, *sorted(path for folder in OUTSIDE for path in (ROOT / folder).rglob("*.py"))]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """The modules that a file names in import statements, at the top and inside functions; relative ones keep a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def violations(room: str, source: str) -> list[str]:
    """The imports in ``source`` that a file of ``room`` must not have."""
    tops = {module: module.split(".")[0] for module in imported_modules(ast.parse(source))}
    upwards = [module for module, top in tops.items() if HEIGHTS.get(top, -1) > HEIGHTS[room]]
    outside = [module for module, top in tops.items() if top in OUTSIDE]
    relative = [module for module, top in tops.items() if not top]
    return [*upwards, *outside, *relative]


def test_every_room_is_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(HEIGHTS)


def test_imports_go_downwards_only() -> None:
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in FILES
        if (wrong := violations(path.relative_to(ROOT).parts[0], path.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import rewards.composite",
        "from data.reader import Reader",
        "def late():\n    from decoding.engine import Engine",
        "if True:\n    import eval.report as report",
        "from . import task",
        "from ..data import reader",
        "from tests.tiny_model import build_tiny_model",
    ],
)
def test_an_import_upwards_or_sideways_is_seen(source: str) -> None:
    assert violations("envs", source)


def test_an_import_downwards_is_allowed() -> None:
    assert not violations(
        "train", "import os\nimport torch\nfrom envs.task import Task\nfrom eval import run\nimport train"
    )


def test_no_import_is_relative_outside_the_rooms_either() -> None:
    relative = {
        str(path.relative_to(ROOT)): module
        for path in ALL_FILES
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")))
        if module.startswith(".")
    }
    assert not relative


def test_nothing_beside_a_script_shadows_a_module() -> None:
    # ``python eval/run.py`` puts eval/ first on the path: eval/json.py would be everybody's ``json``.
    taken = set(sys.stdlib_module_names) | set(HEIGHTS) | set(importlib.metadata.packages_distributions())
    names = {
        f"{room}/{path.name}": path.name.removesuffix(".py")
        for room in SCRIPT_ROOMS
        for path in (ROOT / room).iterdir()
        if path.suffix == ".py" or path.is_dir()
    }
    shadowing = [file for file, name in names.items() if name in taken and not name.startswith("__")]
    assert not shadowing


def test_envs_data_and_rewards_load_without_torch_and_its_kind() -> None:
    # The time itself is measured by benchmarks/import_time.py; these are what would cost it.
    heavy = ["torch", "transformers", "datasets", "sympy", "math_verify", "scipy", "pandas", "matplotlib"]
    probe = (
        "import json, sys\n"
        "import envs.registry, rewards.registry, rewards.composite, data.registry, envs.configuration\n"
        f"print(json.dumps([name for name in {heavy!r} if name in sys.modules]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == []


def test_every_file_opens_with_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path in ALL_FILES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent


def test_every_folder_of_a_room_is_a_package() -> None:
    folders = {path.parent for path in FILES}
    assert not [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()]


def test_tests_are_no_packages() -> None:
    # tests/rewards/__init__.py would make pytest import the folder as ``rewards``.
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_file_outgrows_one_subject() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ALL_FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert not long


def test_no_file_or_folder_is_a_drawer_for_odds_and_ends() -> None:
    drawers = re.compile(r"(utils?|helpers?|misc|common)")
    named = [path.relative_to(ROOT).with_suffix("") for path in ALL_FILES]
    assert not [str(path) for path in named if any(drawers.fullmatch(part) for part in path.parts)]
