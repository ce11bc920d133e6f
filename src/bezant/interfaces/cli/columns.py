"""Options that name the columns of a card file, for the commands that read one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bezant.interfaces.files.mapping import CardMapping

_PANEL = "Columns of a card file"
Column = Annotated[str, typer.Option(rich_help_panel=_PANEL, show_default=False)]
Scale = Annotated[
    int | None, typer.Option(rich_help_panel=_PANEL, help="Most decimals of an amount.  \\[default: 2]")
]


def mapping_of(ready: str, scale: int | None, **columns: str) -> CardMapping | str | None:
    """Return the columns that were named, else the name of a ready mapping, or None: by what is there.

    Raises: ConfigError where some were named and not all that it takes, or a ready mapping beside them.
    """
    from bezant.errors import ConfigError
    from bezant.interfaces.files.mapping import CardMapping

    chosen: Any = {name: value for name, value in columns.items() if value}
    if scale is not None:
        chosen["scale"] = scale
    if not chosen:
        return ready or None
    if ready:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise ConfigError(
            f"--mapping {ready} says of every column what it is; leave out {named}, or the mapping",
            param="mapping",
        )
    return CardMapping(**dict.fromkeys(("time", "debtor", "creditor", "amount"), "") | chosen)
