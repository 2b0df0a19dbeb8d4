"""Tasks whose answer is a JSON value that a schema describes."""
