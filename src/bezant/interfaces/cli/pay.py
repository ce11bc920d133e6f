"""``bezant pay``: one payment."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

_SHOWN = (
    "id",
    "status",
    "instructed_amount",
    "fee",
    "held",
    "mandate",
    "debtor",
    "creditor",
    "verdict",
    "signing_mode",
    "block",
)


def pay(
    debtor: Annotated[str, typer.Argument(help="Account that pays, 32 hexadecimal digits.")],
    creditor: Annotated[str, typer.Argument(help="Account that is paid.")],
    amount: Annotated[str, typer.Argument(help="Decimal amount, e.g. 12.50.")],
    asset: Annotated[str, typer.Argument(help="What the amount is in.")] = "EUR",
    data: Data = DEFAULT_DATA,
    reference: Annotated[str, typer.Option(help="End-to-end id, the payer's reference.")] = "",
    text: Annotated[str, typer.Option(help="Remittance information for the payee.")] = "",
    device: Annotated[str, typer.Option(help="What is paid with, by a name that stays the same.")] = "",
    terminal: Annotated[str, typer.Option(help="Where it is paid: a point of sale, say.")] = "",
    hold: Annotated[int, typer.Option(help="Reserve for so many seconds instead of paying.")] = 0,
    lock: Annotated[
        str, typer.Option(help="SHA-256 that captures of the hold must open; see 'bezant holds secret'.")
    ] = "",
    mandate: Annotated[str, typer.Option(help="Pay under this mandate; see 'bezant mandates'.")] = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Pay from one account to another; done when it is settled and durable.

    \b
    bezant pay 0000d4e3…bc4 000094df…7b8 12.50 EUR --reference INV-7
    bezant pay 0000d4e3…bc4 000094df…7b8 80 --hold 3600
    bezant pay 0000d4e3…bc4 000094df…7b8 9.99 --mandate 01a209f4-…-3ee0
    """
    from bezant.interfaces.cli.client import connect

    body = {
        "debtor": debtor,
        "creditor": creditor,
        "instructed_amount": {"amount": amount, "asset": asset},
        "end_to_end_id": reference,
        "remittance_information": text,
        "device": device,
        "terminal": terminal,
        "hold_for_s": hold,
        "hashlock": lock,
        "mandate": mandate,
    }
    with connect(data) as client:
        answer = client.post("/v1/payments", body, key=key or None)
    show(answer, as_json, *_SHOWN)
    if not as_json and answer["status"] == "in_review":
        print(f"\nIt waits for a person: bezant reviews approve {answer['id']}")
    if not as_json and answer["status"] == "held":
        print(f"\nNext: bezant holds capture {answer['id']}")
