"""A small database with keys, awkward names, NULLs, duplicates and a view."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database

if TYPE_CHECKING:
    from envs.sql.databases.postgres_server import PrivateServer

SCHEMA = """
CREATE TABLE singer (singer_id INTEGER PRIMARY KEY, name TEXT, age INT, "home town" TEXT);
CREATE TABLE concert (year INT, venue TEXT, singer_id INT REFERENCES singer(singer_id), PRIMARY KEY (year, venue));
CREATE TABLE "order" ("group" INT);
CREATE VIEW adult AS SELECT name FROM singer WHERE age >= 18;
INSERT INTO singer VALUES (1, 'Ada', 30, 'Ulm'), (2, 'Ben', 17, 'Bonn'), (3, 'Cid', 30, NULL);
INSERT INTO singer VALUES (4, 'O''Hara', NULL, 'Ulm');
INSERT INTO concert VALUES (2020, 'hall', 1), (2021, 'hall', 1), (2021, 'park', 2);
INSERT INTO "order" VALUES (1), (1);
"""
POSTGRES_TEMPTATIONS = """
CREATE SEQUENCE numbers;
CREATE SCHEMA secret;
CREATE TABLE secret.canary (t TEXT);
INSERT INTO secret.canary VALUES ('the canary');
GRANT USAGE ON SCHEMA secret TO PUBLIC;
GRANT SELECT ON secret.canary TO PUBLIC;
CREATE FUNCTION leak() RETURNS TEXT LANGUAGE sql SECURITY DEFINER AS 'SELECT t FROM secret.canary';
"""


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "music.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    return path.read_bytes()


@pytest.fixture
def database(tmp_path: Path, original: bytes) -> Path:
    """A fresh copy for each test: SQLite waits for the disk at every statement that writes."""
    path = tmp_path / "music.sqlite"
    path.write_bytes(original)
    return path


@pytest.fixture(scope="session")
def original_duckdb(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb: pip install 'structrl[databases]'")
    path = tmp_path_factory.mktemp("original_duckdb") / "music.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(SCHEMA)
    return path.read_bytes()


@pytest.fixture
def duckdb_file(tmp_path: Path, original_duckdb: bytes) -> Path:
    """The same database in a fresh DuckDB file."""
    path = tmp_path / "music.duckdb"
    path.write_bytes(original_duckdb)
    return path


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PrivateServer]":
    """A server of our own, which ends with the session whatever happens."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'structrl[databases]'")
    from envs.sql.databases.postgres_server import PrivateServer

    try:
        server = PrivateServer()
    except ConfigurationError as reason:
        pytest.skip(f"needs a PostgreSQL server: {reason}")
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server: "PrivateServer") -> Database:
    """The same database on the server, as its sealed reader sees it; beside it lie things that it must not see."""
    import psycopg

    from envs.sql.databases.postgres_role import make_reader

    with psycopg.connect(postgres_server.location(), autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE music")
    with psycopg.connect(postgres_server.location("music"), autocommit=True) as administrator:
        administrator.execute(SCHEMA.encode())
        administrator.execute(POSTGRES_TEMPTATIONS.encode())
        make_reader(administrator, "reader", ["public"])
    return Database.at(postgres_server.location("music", "reader"))
