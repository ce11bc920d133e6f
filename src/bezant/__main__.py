"""``python -m bezant`` is ``bezant``."""

from bezant.interfaces.cli import main

main()
