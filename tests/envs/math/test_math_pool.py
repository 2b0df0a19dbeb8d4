"""Verifier processes under signals, forks, threads and dead parents."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envs.math.pool import VerifierPool

ROOT = Path(__file__).resolve().parents[3]
BOMB = ("x", "9^{9^{9^9}}+x")
WAIT_SECONDS = 60.0


def good(count: int, start: int = 2) -> list[tuple[str, str]]:
    """Pairs that are equal and take some milliseconds each."""
    return [(rf"\sqrt{{{n}}}+x", rf"x+\frac{{{n}}}{{\sqrt{{{n}}}}}") for n in range(start, start + count)]


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    pool = VerifierPool(workers=2, deadline=0.8)
    yield pool
    pool.close()


def test_outcomes_come_in_order(pool: VerifierPool) -> None:
    pairs = [("x+1", "1+x"), ("x+1", "x+2"), (r"\frac{1}{", "1"), ("(1,2)", "(2,1)")] * 20
    assert pool.run(pairs) == ["equal", "different", "defective gold", "different"] * 20
    assert pool.run([]) == []


def test_a_bomb_costs_its_own_answer_and_no_other(pool: VerifierPool) -> None:
    pairs = [pair for equal in good(40) for pair in (equal, equal)]
    for place in (0, 7, 8):
        pairs.insert(place, BOMB)
    outcomes = pool.run(pairs)
    assert [outcome for pair, outcome in zip(pairs, outcomes, strict=True) if pair == BOMB] == ["deadline"] * 3
    assert outcomes.count("equal") == 80


def test_killed_processes_lose_nothing(pool: VerifierPool) -> None:
    pool.run(good(2))
    is_done = threading.Event()
    kills = 0

    def kill_now_and_then() -> None:
        nonlocal kills
        while not is_done.wait(0.15) and kills < 6:
            if pids := pool.pids:
                os.kill(pids[kills % len(pids)], signal.SIGKILL)
                kills += 1
                # Twice under the same pair would be the pair's fault: the next process is to get to work first.
                is_done.wait(1.0)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    outcomes: list[str] = []
    until = time.monotonic() + WAIT_SECONDS
    while kills < 3 and time.monotonic() < until:
        outcomes += pool.run(good(100, start=2 + len(outcomes)))
    is_done.set()
    killer.join()
    assert kills >= 3
    assert set(outcomes) == {"equal"}


def test_a_stopped_process_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.math.process.GRACE_SECONDS", 0.5)
    pool = VerifierPool(workers=1, deadline=1.0)
    try:
        pool.run(good(1))
        os.kill(pool.pids[0], signal.SIGSTOP)
        assert pool.run(good(3)) == ["equal"] * 3
    finally:
        pool.close()


def test_many_threads_share_the_processes(pool: VerifierPool) -> None:
    results: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        results[number] = list(pool.run([*good(10, start=2 + 10 * number), ("x", f"x+{number + 1}")]))  # type: ignore[arg-type]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(results.values()) == [["equal"] * 10 + ["different"]] * 12
    assert len(pool.pids) == 2


def test_a_closed_pool_ends_its_processes_and_tells_who_waits() -> None:
    pool = VerifierPool(workers=1, deadline=30.0)
    pool.run(good(1))
    (pid,) = pool.pids
    errors: list[str] = []

    def wait_for_a_bomb() -> None:
        try:
            pool.run([BOMB] * 3)
        except RuntimeError as error:
            errors.append(str(error))

    waiting = threading.Thread(target=wait_for_a_bomb)
    waiting.start()
    time.sleep(0.5)
    pool.close()
    waiting.join(timeout=WAIT_SECONDS)
    assert errors == ["the math verifier is closed"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="closed"):
        pool.run(good(1))


def test_processes_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.math.process._COMMAND", "raise SystemExit(1)")
    pool = VerifierPool(workers=1, deadline=1.0)
    try:
        with pytest.raises(RuntimeError, match="before they are ready"):
            pool.run(good(1))
    finally:
        pool.close()


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), OSError(12, "No memory"), FileNotFoundError()])
def test_processes_that_the_system_refuses_are_an_error(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    pool = VerifierPool(workers=2, deadline=1.0)
    try:
        with monkeypatch.context() as context:
            context.setattr("envs.math.process.subprocess.Popen", refuse)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                with pytest.raises(RuntimeError, match="before they are ready"):
                    pool.run(good(20))
            assert len(os.listdir("/proc/self/fd")) <= before + 2  # of the threads that are about to try
        assert pool.run(good(3)) == ["equal"] * 3  # the system gives again
    finally:
        pool.close()


def test_one_refusal_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start, refusals = subprocess.Popen, [OSError(11, "Try again")]

    def refuse_once(*arguments: object, **options: object) -> object:
        if refusals:
            raise refusals.pop()
        return start(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("envs.math.process.subprocess.Popen", refuse_once)
    pool = VerifierPool(workers=1, deadline=5.0)
    try:
        assert pool.run(good(3)) == ["equal"] * 3 and not refusals
    finally:
        pool.close()


@pytest.mark.parametrize("method", ["compare", "wait_until_ready"])
def test_an_unexpected_error_reaches_who_waits_and_the_pool_goes_on(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("unforeseen")

    pool = VerifierPool(workers=1, deadline=5.0)
    try:
        with monkeypatch.context() as context:
            context.setattr(f"envs.math.pool.VerifierProcess.{method}", fail)
            with pytest.raises(RuntimeError, match="unforeseen"):
                pool.run(good(3))
        assert pool.run(good(3)) == ["equal"] * 3
    finally:
        pool.close()


def test_a_working_directory_that_is_gone_is_an_error_and_no_hang(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        "import os, sys, tempfile\n"
        "sys.path.insert(0, '')\n"
        "from envs.math.verification import verify\n"
        "gone = tempfile.mkdtemp()\n"
        "os.chdir(gone); os.rmdir(gone)\n"
        "try:\n"
        "    verify([('x+1', '1+x')], workers=1, deadline=5)\n"
        "except RuntimeError as error:\n"
        "    print('before they are ready' in str(error))\n",
    )
    assert done.stdout.split() == ["True"], done.stderr
    assert "cannot be started" in done.stderr


def test_a_child_forked_while_the_memo_is_in_use_judges(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        "import os\n"
        "from envs.math import verification\n"
        "ask = lambda: verification.verify([('x+1', '1+x')], workers=1, deadline=5)[0].error\n"
        "verification.KNOWN._lock.acquire()  # as another thread would hold it\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print('child', ask(), flush=True)\n"
        "    os._exit(0)\n"
        "verification.KNOWN._lock.release()\n"
        "os.waitpid(child, 0)\n"
        "print('parent', ask(), flush=True)\n",
    )
    assert done.stdout.splitlines() == ["child None", "parent None"], done.stderr


def test_nothing_of_the_caller_is_changed(pool: VerifierPool) -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        assert pool.run([BOMB, *good(20)])[0] == "deadline"
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_script(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(text)
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", "")}
    command = [sys.executable, str(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * WAIT_SECONDS)


def test_a_script_without_a_main_guard_may_judge_and_ends(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        "print('loaded', flush=True)\n"
        "from envs.math.verification import verify\n"
        "print(verify([('x+1', '1+x')], workers=1, deadline=5)[0])\n"
        "import sys; print('sympy' in sys.modules)\n",
    )
    assert done.stdout.splitlines() == ["loaded", "Verification(error=None, unjudged=None)", "False"], done.stderr


def test_a_forked_child_has_verifiers_of_its_own(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        "import os\n"
        "from envs.math.pool import shared_pool\n"
        "pairs = [('x+1', '1+x'), ('x+1', 'x+2')]\n"
        "ask = lambda: (shared_pool(workers=1, deadline=5.0).run(pairs), shared_pool(workers=1, deadline=5.0).pids)\n"
        "before, parents = ask()\n"
        "child = os.fork()\n"
        "found, own = ask()\n"
        "if child == 0:\n"
        "    print('child', found, parents != own, flush=True)\n"
        "else:\n"
        "    os.waitpid(child, 0)\n"
        "    print('parent', found, parents == own, flush=True)\n",
    )
    expected = ["child ['equal', 'different'] True", "parent ['equal', 'different'] True"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_processes_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        "import os, signal, threading, time\n"
        "from envs.math.pool import VerifierPool\n"
        "pool = VerifierPool(workers=2, deadline=2.0)\n"
        "pool.run([('x', 'x+1')] * 40)\n"
        "threading.Thread(target=pool.run, args=([('x', '9^{9^{9^9}}+x')],), daemon=True).start()\n"
        "time.sleep(0.5)\n"
        "print(*pool.pids, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    until = time.monotonic() + WAIT_SECONDS
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(pids) == 2 and not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
