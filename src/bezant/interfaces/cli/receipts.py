"""``bezant receipt`` and ``bezant verify``: prove a payment, and check a proof anywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show


def receipt(
    payment: Annotated[str, typer.Argument(help="Payment id.")],
    opened: Annotated[
        Literal["debtor", "creditor"] | None,
        typer.Option("--open", help="Open the balances of one side, for its holder."),
    ] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write a payment's receipt file to standard output.

    \b
    bezant receipt 01a209f4-f478-7d45-bd98-fdbbbc43cee0 > receipt.json
    bezant receipt 01a209f4-f478-7d45-bd98-fdbbbc43cee0 --open debtor | bezant verify -
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        params = {} if opened is None else {"open": opened}
        content = client.raw("GET", f"/v1/payments/{payment}/receipt", params=params)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def verify(
    file: Annotated[Path, typer.Argument(help="A receipt file, or - for standard input.")],
    trust: Annotated[
        str, typer.Option(help="Genesis hash that you trust, from somewhere else than the file.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Verify a receipt offline: no node, no network, nothing but the file.

    Exit code 1, and the reason, when anything does not hold.

    \b
    bezant verify receipt.json
    bezant verify receipt.json --trust b15a2ff6f0d4…4979
    """
    from bezant.chain.receipts import trust_statement, verify_receipt
    from bezant.errors import InputError
    from bezant.model.genesis import network_id

    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", code="file_unreadable") from None
    checked = verify_receipt(content, genesis_hash=trust or None)
    summary = checked.summary
    told = {
        "verified": True,
        "payment": summary.payment,
        "outcome": summary.outcome,
        "amount": {"amount": summary.amount, "asset": summary.asset},
        "debtor": summary.debtor,
        "creditor": summary.creditor,
        "signed_by": summary.signed_by,
        "block": summary.block,
        "genesis_hash": network_id(checked.genesis).hex(),
        "rests_on": trust_statement(trust or None),
    }
    show(told, as_json)
