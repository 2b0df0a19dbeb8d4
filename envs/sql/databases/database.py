"""Which database: its kind and where it is. Nothing is opened here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from envs.errors import ConfigurationError, nearest

DatabaseKind = Literal["sqlite", "duckdb", "postgres"]

_KIND_BY_SUFFIX: dict[str, DatabaseKind] = {
    ".db": "sqlite",
    ".duckdb": "duckdb",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}
_SERVER_PREFIXES = ("postgresql://", "postgres://")


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database that tasks ask. Hashable and cheap to pickle; two of them are one when both fields are equal."""

    kind: DatabaseKind
    """sqlite, duckdb or postgres; also sqlglot's name of its dialect."""
    location: str
    """The absolute path of the file, or a PostgreSQL connection string (``postgresql://user@host:port/name``)."""

    def __post_init__(self) -> None:
        known = get_args(DatabaseKind)
        if self.kind not in known:
            raise ConfigurationError(
                f"unknown kind of database '{self.kind}'{nearest(self.kind, known)}; known: {', '.join(known)}"
            )

    @classmethod
    def at(cls, location: str | Path) -> "Database":
        """The database at a path or connection string, its kind told by the string's beginning or the file's ending.

        Raises:
            ConfigurationError: neither tells.
        """
        text = str(location)
        if text.startswith(_SERVER_PREFIXES):
            return cls(kind="postgres", location=text)
        path = Path(text).expanduser().absolute()
        kind = _KIND_BY_SUFFIX.get(path.suffix.lower())
        if kind is None:
            raise ConfigurationError(
                f"'{text}' is no database that is known by its name: expected postgresql://... or a file that ends in "
                f"{', '.join(sorted(_KIND_BY_SUFFIX))}"
            )
        return cls(kind=kind, location=str(path))

    @property
    def dialect(self) -> str:
        """sqlglot's name of the SQL that this database speaks."""
        return self.kind

    @property
    def name(self) -> str:
        """A short name for messages: the file's, or the server's database, never a password."""
        if self.kind == "postgres":
            return self.location.rsplit("/", 1)[-1].split("?", 1)[0] or "postgres"
        return Path(self.location).stem
