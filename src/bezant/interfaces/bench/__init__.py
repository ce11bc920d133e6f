"""Measuring: every figure beside the limit of the machine, found in the same run."""
