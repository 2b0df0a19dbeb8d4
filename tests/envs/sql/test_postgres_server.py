"""The private PostgreSQL server ends with its owner, however that ends, and leaves no folder."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from envs.sql.databases.postgres_server import PrivateServer, server_binaries

pytestmark = pytest.mark.postgres


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_closed_server_is_gone_with_its_folder() -> None:
    try:
        server = PrivateServer()
    except ConfigurationError as reason:
        pytest.skip(f"needs a PostgreSQL server: {reason}")
    process = int((server.data / "postmaster.pid").read_text().split()[0])
    assert is_running(process)
    server.close()
    assert not is_running(process)
    assert not server.folder.exists()


def test_a_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    if server_binaries() is None:
        pytest.skip("needs a PostgreSQL server: it is not installed")
    program = (
        "from envs.sql.databases.postgres_server import PrivateServer\n"
        "server = PrivateServer()\n"
        "print((server.data / 'postmaster.pid').read_text().split()[0], server.folder, flush=True)\n"
        "input()"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    number, folder = owner.stdout.readline().split()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 20
    while is_running(int(number)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(number))
    subprocess.run(["rm", "-rf", folder], check=True)  # nobody was left to remove it


def test_a_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if server_binaries() is not None:
        with pytest.raises(ConfigurationError, match="does not start"):
            PrivateServer(memory_bytes=16 * 2**20)
    monkeypatch.setattr("envs.sql.databases.postgres_server.server_binaries", lambda: None)
    with pytest.raises(ConfigurationError, match="apt-get install postgresql"):
        PrivateServer()
