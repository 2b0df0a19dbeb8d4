"""SQL tasks over four small SQLite databases that are built on first use; see README.md beside this file."""
