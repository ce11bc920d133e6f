"""Worlds small enough to reason about: keys, batches and strategies for tests. Production imports none of it."""
