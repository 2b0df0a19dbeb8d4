"""Requests that are answered by calling functions, of our own writing."""
