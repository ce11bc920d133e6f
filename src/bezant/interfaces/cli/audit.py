"""``bezant audit``: recompute a ledger from its journal, and say where a difference begins."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, progress_bar, show

if TYPE_CHECKING:
    from bezant.chain.checkpoints import Note


def audit(
    start: Annotated[
        str, typer.Argument(metavar="FROM", help="First block to compare, or a checkpoint file.")
    ] = "1",
    end: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="Last block to compare, or a checkpoint file; the last one if not given."
        ),
    ] = "",
    since: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint kept from earlier: prove that nothing before it has changed. Repeat it."
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Recompute everything from the journal, and compare it with what lies in the data folder.

    Every signature is verified, every decision taken again; receipts, app hashes, history, state roots,
    snapshots and checkpoints are compared with the outcome. A difference is named by its block, record
    and field, and the exit code is 1. The node must be stopped; nothing is changed, so the folder may be
    a read-only copy of genesis.json, chain/ and keys/blinding.key. Before FROM everything is computed
    too, but nothing is compared and no signature verified.

    \b
    bezant audit
    bezant audit 1 5000 --json
    bezant audit last-month.note --data /mnt/copy
    """
    from concurrent.futures import ThreadPoolExecutor

    from bezant.chain.auditing.audit import THREADS, Audit
    from bezant.folder import open_for_audit

    known = [_note(path) for path in since or []]
    first, last = _bound(start, known), _bound(end, known) if end else None
    with open_for_audit(data) as (genesis, blinding), ThreadPoolExecutor(THREADS) as executor:
        looking = Audit(
            data / "chain", genesis, blinding, first=max(first, 1), last=last, known=known, executor=executor
        )
        with progress_bar() as bar:
            task = bar.add_task("recompute", total=None)
            report = looking.run(lambda done, total: bar.update(task, completed=done, total=max(done, total)))
    told = {"intact": not report.differences} | asdict(report)
    if as_json:
        show(told, True)
    else:
        differences = told.pop("differences")
        show(told, False)
        if differences:
            columns = ("block", "record", "file", "field", "found", "expected")
            show(differences, False, *columns, rows=differences)
    if report.differences:
        raise typer.Exit(1)


def _bound(text: str, known: list[Note]) -> int:
    """Return a height given as a number or as a checkpoint file, which is then compared as well."""
    from bezant.errors import InputError

    if text.isdecimal():
        return int(text)
    path = Path(text)
    if not path.exists():
        raise InputError(f"{text[:80]!r} is neither a block nor a checkpoint file", code="block_malformed")
    note = _note(path)
    known.append(note)
    return note.checkpoint.height


def _note(path: Path) -> Note:
    """Return a kept checkpoint: a signed note, or the bundle that a witness is given."""
    from bezant.chain.checkpoints import parse_note
    from bezant.chain.witness import parse_bundle
    from bezant.errors import InputError

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", code="file_unreadable") from None
    return parse_bundle(content)[0] if content[:1] == b"{" else parse_note(content)
