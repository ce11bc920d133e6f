"""Bezant: a real-time payment network in one process."""

__version__ = "0.1.0"
