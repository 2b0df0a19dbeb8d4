"""Grammars as token masks: back ends that compile them, and what is shared between back ends."""
