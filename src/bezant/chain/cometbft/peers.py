"""Which peers this node talks to: all that its home names, but for those that it was cut off from.

CometBFT asks before it takes in a peer, whoever called whom. A cut is a file of node ids beside the node's
data; it holds for connections from then on, so whoever makes one ends those that are open.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

NAME = "cut.txt"
BY_ID, BY_ADDRESS = "/p2p/filter/id/", "/p2p/filter/addr/"
"""What the questions begin with."""


class Cut:
    """The node ids that are refused; read anew for every question, of which there are few."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def refuses(self, node_id: str) -> bool:
        """Return whether a peer is cut off, by its id in hexadecimal."""
        try:
            return node_id.lower() in self._path.read_text("ascii").split()
        except FileNotFoundError:
            return False

    def make(self, node_ids: Sequence[str]) -> None:
        """Cut these off, and nobody else."""
        self._path.write_text("".join(f"{one}\n" for one in node_ids), "ascii")

    def heal(self) -> bool:
        """Cut nobody off; return whether anybody was."""
        was = self._path.exists()
        self._path.unlink(missing_ok=True)
        return was
