"""Options that name the columns of a card file, for the commands that read one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bezant.interfaces.files.mapping import CardMapping

_PANEL = "Columns of a card file"
Column = Annotated[str, typer.Option(rich_help_panel=_PANEL, show_default=False)]
Scale = Annotated[int, typer.Option(rich_help_panel=_PANEL)]


def mapping_of(ready: str, scale: int, **columns: str) -> CardMapping | str | None:
    """Return the columns that were named, else the name of a ready mapping, or None: by what is there.

    Raises: ConfigError where some were named and not all that it takes.
    """
    from bezant.interfaces.files.mapping import CardMapping

    chosen: Any = {name: value for name, value in columns.items() if value}
    if not chosen:
        return ready or None
    return CardMapping(**dict.fromkeys(("time", "debtor", "creditor", "amount"), "") | chosen, scale=scale)
