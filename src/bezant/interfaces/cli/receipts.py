"""``bezant receipt`` and ``bezant verify``: prove a payment, and check a proof anywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

if TYPE_CHECKING:
    from bezant.chain.checkpoints import Witness
    from bezant.chain.readings import Decided


def receipt(
    payment: Annotated[str, typer.Argument(help="Payment id.")],
    opened: Annotated[
        Literal["debtor", "creditor", "decision"] | None,
        typer.Option(
            "--open",
            help="Open the balances of one side, for its holder; or the decision, for an auditor.",
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write a payment's receipt file to standard output.

    \b
    bezant receipt 01a209f4-f478-7d45-bd98-fdbbbc43cee0 > receipt.json
    bezant receipt 01a209f4-f478-7d45-bd98-fdbbbc43cee0 --open debtor | bezant verify -
    bezant receipt 01a209f4-f478-7d45-bd98-fdbbbc43cee0 --open decision | bezant verify - --model 3f9a…
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        params = {} if opened is None else {"open": opened}
        content = client.raw("GET", f"/v1/payments/{payment}/receipt", params=params)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def verify(
    file: Annotated[Path, typer.Argument(help="A receipt or balance file, or - for standard input.")],
    trust: Annotated[
        str, typer.Option(help="Genesis hash that you trust, from somewhere else than the file.")
    ] = "",
    witness: Annotated[
        list[str] | None,
        typer.Option(help="Verifier key of a witness that you know, or a file with one a line; repeat it."),
    ] = None,
    quorum: Annotated[
        int, typer.Option(min=0, help="How many of them must have co-signed the history above this.")
    ] = 0,
    model: Annotated[
        str,
        typer.Option(help="Digest, or its beginning, of the model that must have decided; or 'rules'."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Verify a receipt or a balance offline: no node, no network, nothing but the file.

    Exit code 1, and the reason, when anything does not hold.

    \b
    bezant verify receipt.json
    bezant verify receipt.json --trust b15a2ff6f0d4…4979
    bezant verify receipt.json --trust b15a… --witness witness.example+0a1b2c3d+BIxY… --quorum 1
    """
    from bezant.chain.anchors import trust_statement, vouched_for
    from bezant.chain.balances import verify_balance
    from bezant.chain.checkpoints import parse_note
    from bezant.chain.readings import decided, fee_of, signing_statement
    from bezant.chain.receipts import verify_receipt
    from bezant.errors import InputError
    from bezant.model.genesis import network_id

    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        known = _witnesses(witness or [])
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read: {error.strerror}", code="file_unreadable"
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            "a file of verifier keys holds bytes that are no text", code="file_unreadable"
        ) from None
    told: dict[str, Any]
    made: Decided | None = None
    if b'"bezant_balance"' in content[:64]:
        balance = verify_balance(content, genesis_hash=trust or None)
        checkpoint, finality, genesis = balance.anchor.checkpoint, balance.anchor.finality, balance.genesis
        told = {
            "account": balance.summary.account,
            "balance": {"amount": balance.summary.balance, "asset": balance.summary.asset},
            "after_block": balance.summary.after_block,
        }
    else:
        receipt = verify_receipt(content, genesis_hash=trust or None)
        checkpoint, finality, genesis = receipt.checkpoint, receipt.finality, receipt.genesis
        summary = receipt.summary
        told = {
            "payment": summary.payment,
            "outcome": summary.outcome,
            "amount": {"amount": summary.amount, "asset": summary.asset},
            "debtor": summary.debtor,
            "creditor": summary.creditor,
            "signed_by": summary.signed_by,
            "signatures": signing_statement(receipt),
            "block": summary.block,
        }
        if fee := fee_of(receipt):
            told["fee"] = {"amount": fee, "asset": summary.asset}
        made = decided(receipt)
        if made is not None:
            told["decided_by"] = made._asdict()
    _check_model(made, model)
    note = None if checkpoint is None else parse_note(checkpoint.note.encode())
    vouching = vouched_for(note, known, quorum)
    told = {"verified": True} | told | {"genesis_hash": network_id(genesis).hex()}
    if vouching:
        told["co_signed_by"] = [name for name, _ in vouching]
    show(told | {"rests_on": trust_statement(trust or None, note, vouching, finality)}, as_json)


def _check_model(made: Decided | None, model: str) -> None:
    """Raise ProofError unless a receipt proves that the model which is asked for decided."""
    from bezant.errors import ProofError

    if not model:
        return
    if made is None:
        raise ProofError(
            "this receipt does not show which model decided; ask for one with --open decision", param="model"
        )
    if len(model) < 8 and model != "rules":
        raise ProofError("name a model by 8 hexadecimal digits at least, or 'rules'", param="model")
    # A decision holds the first half of the digest.
    if not made.model.startswith(model[: len(made.model)].lower()):
        raise ProofError(f"model {made.model} decided, not {model}", param="model")


def _witnesses(named: list[str]) -> list[Witness]:
    """Return the witnesses of verifier keys, or of files with one a line. Raises: ProofError, OSError."""
    from bezant.chain.checkpoints import parse_witness

    keys: list[str] = []
    for text in named:
        keys += [text] if "+" in text and not Path(text).exists() else Path(text).read_text("utf-8").split()
    return [parse_witness(key) for key in keys]
