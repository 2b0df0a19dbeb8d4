"""Tasks whose answer is a mathematical value that can be verified."""
