"""Bezant: a real-time payment network in one process."""

from bezant.kernel_cache import place_kernel_cache

__version__ = "0.1.0"

# Before anything can import Numba, which reads this once.
place_kernel_cache()
