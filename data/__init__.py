"""Which tasks: readers of public datasets and the bundled ones. Never imports torch."""
