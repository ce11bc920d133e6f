"""``python -m bezant``: the command line."""

from bezant.interfaces.cli import main

if __name__ == "__main__":
    main()
