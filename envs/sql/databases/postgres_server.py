"""A private PostgreSQL server in a temporary folder, for tests, benchmarks and machines that have none running.

It listens on a Unix socket in that folder only, asks no password there, does not wait for the disk, and ends with the
process that started it. Linux only.
"""

import ctypes
import os
import pwd
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from envs.errors import ConfigurationError

ADMINISTRATOR = "postgres"
SECONDS_TO_START = 30.0
_PR_SET_PDEATHSIG = 1
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def server_binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: on PATH, or where Debian keeps them (the newest version)."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


class PrivateServer:
    """A running server; a context manager that stops it and removes its folder."""

    def __init__(self, memory_bytes: int = 2**30) -> None:
        """
        Args:
            memory_bytes: the address space of each of its processes: PostgreSQL itself bounds what sorts and hashes
                take, but not one large value.

        Raises:
            ConfigurationError: PostgreSQL is not installed, or it does not start; the message says why.
        """
        binaries = server_binaries()
        if binaries is None:
            raise ConfigurationError("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
        self.folder = Path(tempfile.mkdtemp(prefix="structrl-postgres-"))
        self.data = self.folder / "data"
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._memory_bytes = memory_bytes
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = {}
        try:
            if os.geteuid() == 0:
                owner = pwd.getpwnam("postgres")
                os.chown(self.folder, owner.pw_uid, owner.pw_gid)
                self._user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            self._initialise()
            self.start()
        except KeyError as error:
            self.close()
            raise ConfigurationError("PostgreSQL cannot run as root, and there is no user 'postgres'") from error
        except BaseException:
            self.close()
            raise

    def _initialise(self) -> None:
        made = subprocess.run(
            [self._binaries / "initdb", "--pgdata", self.data, "--username", ADMINISTRATOR, "--auth", "trust",
             "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"],
            cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False, **self._user,
        )  # fmt: skip
        if made.returncode != 0:
            raise ConfigurationError(f"initdb failed: {made.stderr.strip()[-500:]}")

    def start(self) -> None:
        """Starts the server, after ``stop``, and waits until it answers.

        Raises:
            ConfigurationError: it ends, or does not answer within ``SECONDS_TO_START``.
        """
        settings = {**_SETTINGS, "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.data, *options],
                cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=_bound_to_parent(self._memory_bytes), **self._user,
            )  # fmt: skip
        program = str(self._binaries / "pg_isready")
        ready = [program, "--quiet", "--host", str(self.folder), "--username", ADMINISTRATOR]
        deadline = time.monotonic() + SECONDS_TO_START
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
                raise ConfigurationError(f"the PostgreSQL server does not start: {said}")
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}

    def location(self, database: str = "postgres", user: str = ADMINISTRATOR) -> str:
        """The connection string of one of its databases."""
        return f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(self.folder), safe='')}"

    def stop(self) -> None:
        """Ends the server at once, as a crash would; its data stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stops the server and removes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "PrivateServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bound_to_parent(memory_bytes: int) -> Callable[[], None]:
    """What the new process does to itself first: its size is limited, and it is told to end when its parent does."""
    library = ctypes.CDLL(None)

    def bind() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))

    return bind
