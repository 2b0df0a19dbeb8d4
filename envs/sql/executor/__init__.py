"""Runs and judges queries in worker processes that stay warm, can be killed, and are replaced when they die."""
