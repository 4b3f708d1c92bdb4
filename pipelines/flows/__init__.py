"""Whole jobs: transforms and io put together."""
