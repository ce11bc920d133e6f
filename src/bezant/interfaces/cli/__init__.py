"""The command line: ``bezant``, one file a group of commands."""

from __future__ import annotations


def main() -> None:
    """Run the command that was asked for."""
    from bezant.interfaces.cli.app import app

    app()
