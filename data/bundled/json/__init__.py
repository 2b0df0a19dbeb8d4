"""JSON extraction tasks of our own writing and the code that wrote them (see README.md)."""
