"""Trains a model by GRPO in an environment, evaluates it before and after, and reports."""
