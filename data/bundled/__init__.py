"""Tasks of our own writing that ship with the package, so that everything runs without a download."""
