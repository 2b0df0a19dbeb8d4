"""Measures checkpoints: held-out metrics with intervals, and reports."""
