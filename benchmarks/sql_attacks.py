"""Runs hostile queries for real on each kind of database, and looks what came of them.

    python benchmarks/sql_attacks.py
    python benchmarks/sql_attacks.py --kinds duckdb postgres
    python benchmarks/sql_attacks.py --spider DIR       # SQLite: on Spider's concert_singer

An attack is contained when, after it, no file was created or changed (in the folder of the databases, which is the
working and the temporary folder too; of PostgreSQL's data the names of the files), no row, setting or role changed,
neither the result nor the message shows the secret that lies in a file, another database and another schema, and it
ended within its limit + 2 s, on the server too. A query that does not end by itself is killed with its process, as in
training.

PostgreSQL is started by the benchmark; a kind that is not installed is skipped, and the output says so. The last line
is one JSON object: ``attacks, contained, slowest_s, files_created``, and for each kind the same and what failed.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits, QueryResult
from envs.sql.databases.kinds import open_connection

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.sql_attack_statements import ATTACKS  # noqa: E402

LIMITS = ExecutionLimits(seconds=0.5, memory_bytes=128 * 2**20)
PROCESS_BYTES = 4 * LIMITS.memory_bytes
SECONDS_UNTIL_KILLED = LIMITS.seconds + 0.5
SECONDS_ALLOWED = LIMITS.seconds + 2.0
SPIDER_DATABASE = "database/concert_singer/concert_singer.sqlite"

TABLES = """
CREATE TABLE singer (singer_id INTEGER PRIMARY KEY, name TEXT, age INT);
CREATE TABLE concert (year INT, venue TEXT, singer_id INT);
INSERT INTO singer VALUES (1, 'Ada', 30), (2, 'Ben', 17), (3, 'Cid', 30), (4, 'O''Hara', NULL);
INSERT INTO concert VALUES (2020, 'hall', 1), (2021, 'hall', 1), (2021, 'park', 2);
"""
TEMPTATIONS = (
    "CREATE SEQUENCE numbers; CREATE SCHEMA secret;",
    "GRANT USAGE ON SCHEMA secret TO PUBLIC; GRANT SELECT ON secret.canary TO PUBLIC;"
    " CREATE FUNCTION leak() RETURNS TEXT LANGUAGE sql SECURITY DEFINER AS 'SELECT t FROM secret.canary'",
)
"""What careless administrators leave in a PostgreSQL database, before and after the secret's table."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A database to attack, and what to compare before and after."""

    database: Database
    folder: Path
    """The working folder of the attacks; all that is in it counts."""
    other: str
    """Another database, with the secret in it."""
    secret: str
    state: Callable[[], object]
    """Everything beside that folder that must not change."""


@dataclass(kw_only=True)
class Outcome:
    """What came of the attacks on one kind."""

    attacks: int = 0
    contained: int = 0
    slowest_s: float = 0.0
    files_created: int = 0
    killed: int = 0
    failures: list[str] = field(default_factory=list)


def serve(pipe: "Pipe[Any, Any]", database: Database, folder: str) -> None:
    """The attacked process: answers each query with what it showed, and with a digest of the connection's settings."""
    os.chdir(folder)
    os.environ["TMPDIR"] = folder
    resource.setrlimit(resource.RLIMIT_DATA, (PROCESS_BYTES, PROCESS_BYTES))
    connection = open_connection(database, LIMITS)
    pipe.send(settings_digest(connection, database.kind))
    while (query := pipe.recv()) is not None:
        outcome = connection.execute(query, LIMITS)
        shown = repr(outcome.rows)[:10_000_000] if isinstance(outcome, QueryResult) else outcome.message
        pipe.send((shown, type(outcome).__name__, settings_digest(connection, database.kind)))


def settings_digest(connection: Any, kind: str) -> str:
    """All settings of a connection, asked behind its seal."""
    if kind == "sqlite":
        names = ("query_only", "temp_store", "hard_heap_limit", "journal_mode", "user_version", "writable_schema")
        with connection._sealed.opened() as opened:
            rows: list[Any] = [opened.execute(f"PRAGMA {name}").fetchall() for name in names]
            rows += opened.execute("PRAGMA database_list").fetchall()
    elif kind == "duckdb":
        rows = connection._connection.execute("SELECT name, value FROM duckdb_settings() ORDER BY 1").fetchall()
        rows += connection._connection.execute("SELECT database_name FROM duckdb_databases() ORDER BY 1").fetchall()
        rows += connection._connection.execute("SELECT current_database(), current_schema()").fetchall()
    else:
        opened = connection._sealed.connection
        names = ("statement_timeout", "work_mem", "lock_timeout", "search_path", "role", "transaction_read_only")
        rows = [opened.execute(f"SHOW {name}").fetchall() for name in names]
        rows += opened.execute("SELECT current_user, session_user").fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


class Attacked:
    """The attacked process, started again after it was killed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        arguments = (theirs, self._target.database, str(self._target.folder))
        self._process = self._context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self.settings: str = self._pipe.recv()

    def ask(self, query: str) -> tuple[str, str, str] | None:
        """What it answered; None when it had to be killed."""
        try:
            self._pipe.send(query)
            if self._pipe.poll(SECONDS_UNTIL_KILLED):
                answer: tuple[str, str, str] = self._pipe.recv()
                return answer
        except (EOFError, OSError):  # it ended by itself
            pass
        self._process.kill()
        self._process.join()
        self._pipe.close()
        return None

    def restart(self) -> None:
        """After it was killed."""
        self._start()

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.join()


def attack(target: Target, attacks: Sequence[str], note: Callable[[str], None]) -> Outcome:
    """Runs ``attacks`` one by one."""
    outcome = Outcome()
    attacked = Attacked(target)
    files, state = snapshot(target.folder), target.state()
    for text in attacks:
        places = {"folder": str(target.folder), "other": target.other, "secret": str(target.folder / "secret.txt")}
        query = text.format(**places) if "{" in text else text
        started = time.monotonic()
        answer = attacked.ask(query)
        seconds = time.monotonic() - started
        if answer is None:
            outcome.killed += 1
            attacked.restart()
        shown, kind, settings = answer or ("", "killed", attacked.settings)
        files_now, state_now = snapshot(target.folder), target.state()
        reasons = {
            "files": files_now != files,
            "state": state_now != state,
            "settings": settings != attacked.settings,
            "secret": target.secret in shown,
            "late": seconds > SECONDS_ALLOWED,
        }
        failed = [reason for reason, is_so in reasons.items() if is_so]
        outcome.attacks += 1
        outcome.contained += not failed
        outcome.slowest_s = max(outcome.slowest_s, seconds)
        outcome.files_created += len(files_now.keys() - files.keys())
        note(f"{seconds:7.3f} s  {kind:13}  {'CONTAINED' if not failed else failed}  {query[:60]!r}  {shown[:60]!r}")
        if failed:
            outcome.failures.append(f"{', '.join(failed)}: {query[:200]}")
            files, state = files_now, state_now
    attacked.close()
    return outcome


def snapshot(folder: Path) -> dict[str, str]:
    """A digest of every file below ``folder``."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@contextmanager
def file_target(kind: str, folder: Path, spider: Path | None) -> Iterator[Target]:
    """A database of one file, and another one beside it that holds the secret."""
    secret = f"secret-{secrets.token_hex(8)}"
    (folder / "secret.txt").write_text(secret)
    database, other = folder / f"music.{kind}", folder / f"other.{kind}"
    more = f"CREATE TABLE canary (t TEXT); INSERT INTO canary VALUES ('{secret}');"
    if kind == "sqlite":
        for path, script in ((database, TABLES), (other, TABLES + more)):
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(script)
        if spider is not None:
            database.write_bytes((spider / SPIDER_DATABASE).read_bytes())
    else:
        import duckdb

        for path, script in ((database, TABLES), (other, TABLES + more)):
            with duckdb.connect(path) as file:
                file.execute(script)
    yield Target(database=Database.at(database), folder=folder, other=str(other), secret=secret, state=lambda: None)


@contextmanager
def server_target(folder: Path) -> Iterator[Target]:
    """A database of a PostgreSQL server of its own; the secret is in another schema, another database and a file."""
    import psycopg

    from envs.sql.databases.postgres_role import make_reader
    from envs.sql.databases.postgres_server import PrivateServer

    secret = f"secret-{secrets.token_hex(8)}"
    (folder / "secret.txt").write_text(secret)
    (folder / "secret.txt").chmod(0o644)
    more = f"CREATE TABLE canary (t TEXT); INSERT INTO canary VALUES ('{secret}');"
    with PrivateServer() as server:
        with psycopg.connect(server.location(), autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE music")
            administrator.execute("CREATE DATABASE other")
        with psycopg.connect(server.location("other"), autocommit=True) as administrator:
            administrator.execute(more.encode())
        with psycopg.connect(server.location("music"), autocommit=True) as administrator:
            administrator.execute((TABLES + more.replace("canary", "secret.canary").join(TEMPTATIONS)).encode())
            available = "SELECT name FROM pg_available_extensions WHERE name IN ('dblink', 'adminpack')"
            for (name,) in administrator.execute(available).fetchall():
                administrator.execute(f"CREATE EXTENSION {name}".encode())
            make_reader(administrator, "reader", ["public"])

            def state() -> object:
                busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND state != 'idle'"
                deadline = time.monotonic() + SECONDS_ALLOWED - SECONDS_UNTIL_KILLED
                while (still := administrator.execute(busy).fetchone()) != (0,) and time.monotonic() < deadline:
                    time.sleep(0.02)
                queries = (
                    "SELECT * FROM singer ORDER BY 1", "SELECT * FROM concert ORDER BY 1, 2", "SELECT * FROM numbers",
                    "SELECT relname, relacl::text FROM pg_class ORDER BY oid",
                    "SELECT proname FROM pg_proc ORDER BY oid",
                    "SELECT rolname, rolconfig FROM pg_roles ORDER BY oid", "SELECT oid FROM pg_largeobject_metadata",
                    "SELECT name, setting FROM pg_settings WHERE context != 'internal' ORDER BY 1",
                    "SELECT datname FROM pg_database ORDER BY oid", "SELECT gid FROM pg_prepared_xacts",
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
                )  # fmt: skip
                volatile = ("pg_wal", "pg_stat", "pg_stat_tmp", "pg_logical", "pg_xact", "pg_subtrans", "pgsql_tmp")
                files = [
                    str(path.relative_to(server.data))
                    for path in sorted(server.data.rglob("*"))
                    if not set(path.parts) & set(volatile) and not path.name.startswith(("pg_internal", "pgsql_tmp"))
                    and not path.name.endswith(("_fsm", "_vm"))
                ]  # fmt: skip
                return still, files, [administrator.execute(query.encode()).fetchall() for query in queries]

            yield Target(
                database=Database.at(server.location("music", "reader")),
                folder=folder,
                other="other",
                secret=secret,
                state=state,
            )


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Attacks every kind that there is."""
    by_kind: dict[str, Any] = {}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory(prefix="structrl-attacks-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            target = server_target(folder) if kind == "postgres" else file_target(kind, folder, options.spider)
            try:
                with target as opened:
                    outcome = attack(opened, ATTACKS[kind], print if options.verbose else lambda line: None)
            except (ConfigurationError, ModuleNotFoundError) as reason:
                print(f"{kind}: skipped, because {reason}")
                by_kind[kind] = {"skipped": str(reason)}
                continue
            by_kind[kind] = {**vars(outcome), "slowest_s": round(outcome.slowest_s, 3)}
            print(
                f"{kind}: {outcome.contained} of {outcome.attacks} contained, {outcome.killed} by killing the process"
            )
    done = [result for result in by_kind.values() if "skipped" not in result]
    return {
        "attacks": sum(result["attacks"] for result in done),
        "contained": sum(result["contained"] for result in done),
        "slowest_s": max((result["slowest_s"] for result in done), default=0.0),
        "files_created": sum(result["files_created"] for result in done),
        "kinds": by_kind,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spider", type=Path, help="the folder of the dataset Spider")
    parser.add_argument("--kinds", nargs="+", choices=list(ATTACKS), default=list(ATTACKS), help="default: all")
    parser.add_argument("--verbose", action="store_true", help="print every attack")
    options = parser.parse_args(arguments)
    if options.spider is not None and not (options.spider / SPIDER_DATABASE).is_file():
        raise ConfigurationError(f"no {SPIDER_DATABASE} in '{options.spider}'")
    print(json.dumps(benchmark(options)))


if __name__ == "__main__":
    try:
        main()
    except ConfigurationError as error:
        exit_with(error)
