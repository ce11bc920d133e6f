"""``python -m bezant.testing.blackbox --kills 100``: kill a node under load, again and again, and judge."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bezant.testing.blackbox.run import kill_again_and_again


def main() -> int:
    """Return 0 if no client heard a contradiction; one is raised."""
    parser = argparse.ArgumentParser(prog="python -m bezant.testing.blackbox", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="when the kills come and who pays whom")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(kill_again_and_again(Path(folder) / "data", given.kills, given.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
