"""How long the rooms that promise to be light take to import, each run in a fresh interpreter.

    python benchmarks/import_time.py

``envs``, ``rewards`` and ``data`` serve any trainer, so they must load in under a second and without torch. The last
line is one JSON object. Not covered: the first import after an installation, when Python still compiles to bytecode (a
warm-up run takes that away).
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = ["envs.registry", "rewards.registry", "rewards.composite", "data.registry"]
RUNS = 5

# Measured inside: the interpreter's own start is not the import's fault.
PROBE = """
import importlib, json, sys, time
start = time.perf_counter()
for name in sys.argv[1:]:
    importlib.import_module(name)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "has_torch": "torch" in sys.modules}))
"""


def measure(modules: list[str]) -> tuple[float, bool]:
    """Imports ``modules`` in one fresh interpreter: the seconds it took, and whether torch came with them."""
    command = [sys.executable, "-c", PROBE, *modules]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    measured = json.loads(result.stdout)
    return measured["seconds"], measured["has_torch"]


def main() -> None:
    """Prints each run, then the summary."""
    measure(MODULES)
    runs = []
    for number in range(1, RUNS + 1):
        runs.append(measure(MODULES))
        print(f"run {number}: {runs[-1][0]:.3f} s")
    summary = {
        "modules": MODULES,
        "seconds": round(statistics.median(seconds for seconds, _ in runs), 3),
        "has_torch": any(has_torch for _, has_torch in runs),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
