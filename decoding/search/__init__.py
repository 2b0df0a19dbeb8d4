"""Decoders that search: strategies over states, which are expanded, scored and selected within a budget."""
