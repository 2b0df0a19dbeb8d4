"""Word problems of our own writing and the code that wrote them (see README.md)."""
