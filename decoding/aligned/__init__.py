"""Samplers whose answers follow the model's own distribution, conditioned on the grammar."""
