"""Worlds small enough to reason about, for tests; production imports none of it."""
