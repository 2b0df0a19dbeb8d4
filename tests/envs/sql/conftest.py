"""A small database with keys, awkward names, NULLs, duplicates and a view."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

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
