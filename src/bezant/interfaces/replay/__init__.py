"""Replaying real files through the whole node, with the files' own time as block time."""
