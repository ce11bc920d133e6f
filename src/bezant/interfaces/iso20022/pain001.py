"""``pain.001``, the customer credit transfer initiation, becomes `PaymentInstruction`s.

Every version from 001.001.01 on, national variants and envelopes are read by one path: elements
are known by local name and position, and the order *group header, payment information, payments*
is the same in all of them. Payments are read one at a time and freed, so a file of any length
needs the memory of one. Counts and control sums are checked at both levels. One slip of exporters
is let through with a remark unless `strict`: a group header that repeats the figures of the first
block, where every block proves its own.

A missing debtor account refuses the message, for nobody else can be debited. A missing creditor
account is legal (cheques): the creditor then goes by name, identifier, ultimate creditor or agent,
in this order (`PartyReference.designation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType

import msgspec
from lxml import etree

from bezant.errors import DecodeError, InputError
from bezant.interfaces.iso20022.amounts import Tally, read_amount
from bezant.interfaces.iso20022.documents import (
    Leaves,
    check_size,
    describe_place,
    known_line,
    local_name,
    read_elements,
    release,
)
from bezant.interfaces.iso20022.parties import NOBODY, one_line, read_party
from bezant.model.payment import PartyReference, PaymentInstruction

MAX_BYTES = 64 * 1024 * 1024
MAX_STREAM_BYTES = 4 * 1024 * 1024 * 1024
NO_SCALES: Mapping[str, int] = MappingProxyType({})

_PAYMENTS = ("CdtTrfTxInf", "PmtTx")
_NAMES = ("GrpHdr", "PmtInf", *_PAYMENTS)
_BODY = re.compile(r"CstmrCdtTrfInitn|pain\.001\.[0-9.]+|CBIPaymentRequest")
_VERSION = re.compile(r"pain\.001\.[0-9]{3}\.[0-9]{2}")
_UETR = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ][0-9:.,]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?", re.ASCII)
_CHARGE_BEARERS = frozenset({"", "DEBT", "CRED", "SHAR", "SLEV"})
_REMITTANCE = frozenset(
    {
        "Ustrd",
        "Strd/CdtrRefInf/Ref",
        "Strd/CdtrRefInf/CdtrRef",
        "Strd/RfrdDocInf/Nb",
        "Strd/RfrdDocInf/RfrdDocNb",
        "Strd/AddtlRmtInf",
    }
)


@dataclass(frozen=True, slots=True)
class GroupHeader:
    """What a message says of itself. `version` is empty when neither namespace nor name states it."""

    version: str
    message_id: str
    created_at: str
    initiating_party: PartyReference


@dataclass(frozen=True, slots=True)
class Pain001:
    """A whole message, checked."""

    header: GroupHeader
    instructions: tuple[PaymentInstruction, ...]
    remarks: tuple[str, ...] = ()
    """What was odd and let through."""


@dataclass(frozen=True, slots=True)
class Pain001Stream:
    """A message that was checked from end to end and is read again, payment by payment, on iteration.

    Checking first costs a second reading and is what keeps a wrong control sum in the last line
    from being found after the first payments have left.
    """

    header: GroupHeader
    count: int
    remarks: tuple[str, ...]
    _source: bytes | Path = field(repr=False)
    _scales: Mapping[str, int] = field(repr=False)
    _strict: bool = field(repr=False)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[PaymentInstruction]:
        return _Reader(self._source, self._scales, self._strict).instructions()


def read_pain001(
    source: bytes | Path,
    *,
    max_bytes: int = MAX_BYTES,
    scales: Mapping[str, int] = NO_SCALES,
    strict: bool = False,
) -> Pain001:
    """Return a pain.001 message with all its payments.

    `scales` gives the decimals of assets outside ISO 4217. Raises: DecodeError for XML that does not
    parse or is another message, InputError (its `code` says which check) and AmountError for content.
    """
    check_size(source, max_bytes)
    reader = _Reader(source, scales, strict)
    instructions = tuple(reader.instructions())
    return Pain001(reader.header(), instructions, tuple(reader.remarks))


def stream_pain001(
    source: bytes | Path,
    *,
    max_bytes: int = MAX_STREAM_BYTES,
    scales: Mapping[str, int] = NO_SCALES,
    strict: bool = False,
) -> Pain001Stream:
    """Return a checked message whose payments are read one at a time, in the memory of one.

    Raises: as `read_pain001`, before the first payment is given out.
    """
    check_size(source, max_bytes)
    reader = _Reader(source, scales, strict)
    count = sum(1 for _ in reader.instructions())
    return Pain001Stream(reader.header(), count, tuple(reader.remarks), source, scales, strict)


@dataclass(frozen=True, slots=True)
class _PaymentInformation:
    """What the payments of one PmtInf block share."""

    path: str
    leaves: Leaves
    debtor: PartyReference
    ultimate_debtor: PartyReference
    tally: Tally


class _Reader:
    """One reading of one message: the state between its elements."""

    def __init__(self, source: bytes | Path, scales: Mapping[str, int], strict: bool) -> None:
        self.remarks: list[str] = []
        self._strict = strict
        self._source = source
        self._scales = scales
        self._body: etree._Element | None = None
        self._body_path = ""
        self._header: GroupHeader | None = None
        self._tally: Tally | None = None
        self._block_tallies: list[Tally] = []
        self._blocks = 0
        self._information: _PaymentInformation | None = None

    def header(self) -> GroupHeader:
        if self._header is None:
            raise DecodeError(
                "this XML holds no customer credit transfer initiation (GrpHdr inside CstmrCdtTrfInitn)",
                code="message_unsupported",
            )
        return self._header

    def instructions(self) -> Iterator[PaymentInstruction]:
        """Yield the payments in order; after the last one the counts and sums have been compared."""
        for event, element in read_elements(self._source, _NAMES):
            name = local_name(element)
            parent = element.getparent()
            if name == "GrpHdr":
                self._read_header(event, element, parent)
            elif self._body is None or parent is None:
                continue
            elif name == "PmtInf" and parent is self._body:
                self._read_block(event, element)
            elif name in _PAYMENTS and local_name(parent) == "PmtInf" and parent.getparent() is self._body:
                if event == "start":
                    self._open_block(parent)
                else:
                    yield self._read_payment(element, name)
                    release(element)
        self.header()
        self._check_totals()

    def _check_totals(self) -> None:
        if self._tally is None:
            return
        blocks = self._block_tallies
        proven = len(blocks) > 1 and all(tally.is_complete for tally in blocks)
        try:
            self._tally.check()
        except InputError as problem:
            if self._strict or not proven or not self._tally.repeats(blocks[0]):
                raise
            self.remarks.append(f"{problem.message}; the header repeats the first block's figures")

    def _read_header(self, event: str, element: etree._Element, parent: etree._Element | None) -> None:
        if event == "start":
            name = "" if parent is None else local_name(parent)
            if self._header is not None and parent is not self._body:
                raise DecodeError(
                    "the file holds more than one message; send each in a file of its own",
                    code="several_messages",
                )
            if parent is None or _BODY.fullmatch(name) is None:
                raise DecodeError(
                    f"the message is {name or 'a bare GrpHdr'}, not a customer credit transfer initiation "
                    "(pain.001, CstmrCdtTrfInitn)",
                    code="message_unsupported",
                )
            self._body = parent
            self._body_path = _path_of(parent)
        elif parent is self._body and parent is not None and self._header is None:
            leaves = Leaves.of(element)
            stated = _VERSION.search(str(parent.tag)) or _VERSION.search(str(_document_tag(parent)))
            self._header = GroupHeader(
                version=stated.group() if stated else "",
                message_id=leaves.first("MsgId", "GrpId"),
                created_at=leaves.first("CreDtTm"),
                initiating_party=read_party(leaves, "InitgPty"),
            )
            self._tally = Tally(leaves, f"{self._body_path}/GrpHdr")

    def _read_block(self, event: str, element: etree._Element) -> None:
        if event == "start":
            self._blocks += 1
            self._information = None
            return
        # A block without a payment is still checked against the count it declares.
        tally = self._open_block(element).tally
        tally.check()
        self._block_tallies.append(tally)
        release(element)

    def _open_block(self, block: etree._Element) -> _PaymentInformation:
        if self._information is None:
            path = f"{self._body_path}/PmtInf[{self._blocks}]"
            leaves = Leaves.of(block, skip=_PAYMENTS)
            debtor = read_party(leaves, "Dbtr", "DbtrAcct", "DbtrAgt", "FrstAgt")
            if not debtor.account:
                place = describe_place(f"{path}/DbtrAcct", known_line(block))
                raise InputError(
                    f"{place}: the account to debit is missing; give DbtrAcct/Id with an IBAN or Othr/Id "
                    "before the first payment of this block",
                    code="debtor_account_missing",
                    param=f"{path}/DbtrAcct",
                )
            ultimate_debtor = read_party(leaves, "UltmtDbtr")
            self._information = _PaymentInformation(
                path, leaves, debtor, ultimate_debtor, Tally(leaves, path)
            )
        return self._information

    def _read_payment(self, element: etree._Element, name: str) -> PaymentInstruction:
        parent = element.getparent()
        if parent is None or self._tally is None:
            raise DecodeError("a payment stands before the group header", code="message_unsupported")
        information = self._open_block(parent)
        path = f"{information.path}/{name}[{information.tally.count + 1}]"
        instruction = _instruction(Leaves.of(element), path, information, self.header(), self._scales)
        information.tally.add(instruction.instructed_amount)
        self._tally.add(instruction.instructed_amount)
        return instruction


def _instruction(
    leaves: Leaves,
    path: str,
    information: _PaymentInformation,
    header: GroupHeader,
    scales: Mapping[str, int],
) -> PaymentInstruction:
    shared = information.leaves
    amount = read_amount(leaves, path, scales)
    ultimate_creditor = read_party(leaves, "UltmtCdtr")
    return PaymentInstruction(
        debtor=information.debtor,
        creditor=_creditor(leaves, path, ultimate_creditor),
        instructed_amount=amount.text,
        currency=amount.currency,
        end_to_end_id=leaves.first("PmtId/EndToEndId"),
        instruction_id=leaves.first("PmtId/InstrId"),
        uetr=_uetr(leaves, path),
        purpose=one_line(leaves.first("Purp/Cd", "Purp/Prtry")),
        charge_bearer=_charge_bearer(leaves.first("ChrgBr") or shared.first("ChrgBr"), path),
        remittance_information=_remittance(leaves),
        requested_execution_date=_execution_date(shared, information.path),
        message_id=header.message_id,
        payment_information_id=shared.first("PmtInfId"),
        ultimate_debtor=_first_party(read_party(leaves, "UltmtDbtr"), information.ultimate_debtor),
        ultimate_creditor=ultimate_creditor,
        category_purpose=one_line(_category_purpose(leaves) or _category_purpose(shared)),
        payment_method=shared.first("PmtMtd", "PmtMtdByFrstAgt"),
        transfer_currency=amount.transfer_currency,
    )


def _creditor(leaves: Leaves, path: str, ultimate: PartyReference) -> PartyReference:
    creditor = read_party(leaves, "Cdtr", "CdtrAcct", "CdtrAgt", "FnlAgt")
    if creditor.account or creditor.name or creditor.identification:
        return creditor
    if ultimate.designation:
        return msgspec.structs.replace(creditor, name=ultimate.name, identification=ultimate.identification)
    if creditor.agent:
        # A payment to the bank itself names no creditor but its agent.
        return creditor
    place = describe_place(f"{path}/Cdtr", leaves.line)
    raise InputError(
        f"{place}: nobody to pay: neither CdtrAcct, Cdtr, UltmtCdtr nor CdtrAgt says who",
        code="creditor_missing",
        param=f"{path}/Cdtr",
    )


def _first_party(own: PartyReference, shared: PartyReference) -> PartyReference:
    return shared if own is NOBODY else own


def _category_purpose(leaves: Leaves) -> str:
    return leaves.first("PmtTpInf/CtgyPurp/Cd", "PmtTpInf/CtgyPurp/Prtry", "PmtTpInf/CtgyPurp")


def _charge_bearer(code: str, path: str) -> str:
    if code not in _CHARGE_BEARERS:
        raise InputError(
            f"{path}/ChrgBr {code[:16]!r} is none of DEBT, CRED, SHAR, SLEV",
            code="charge_bearer_unknown",
            param=f"{path}/ChrgBr",
        )
    return code


def _uetr(leaves: Leaves, path: str) -> str:
    written = leaves.first("PmtId/UETR")
    uetr = written.lower()
    if uetr and _UETR.fullmatch(uetr) is None:
        place = describe_place(f"{path}/PmtId/UETR", leaves.line)
        raise InputError(
            f"{place}: {written[:48]!r} is not a UUID", code="uetr_malformed", param=f"{path}/PmtId/UETR"
        )
    return uetr


def _execution_date(leaves: Leaves, path: str) -> str:
    """Return the requested date or time as written: a plain date up to version 07, a choice since."""
    written = leaves.first("ReqdExctnDt", "ReqdExctnDt/Dt", "ReqdExctnDt/DtTm")
    if not written:
        return ""
    match = _DATE.fullmatch(written)
    try:
        if match is None:
            raise ValueError(written)
        date.fromisoformat(match.group(1))
    except ValueError:
        place = describe_place(f"{path}/ReqdExctnDt", leaves.line)
        raise InputError(
            f"{place}: {written[:48]!r} is not a date such as 2026-02-04",
            code="execution_date_malformed",
            param=f"{path}/ReqdExctnDt",
        ) from None
    return written


def _remittance(leaves: Leaves) -> str:
    """Return unstructured lines and structured references as one text, in document order."""
    return " ".join(one_line(text) for tail, text in leaves.below("RmtInf") if tail in _REMITTANCE)


def _path_of(element: etree._Element) -> str:
    names = [local_name(element), *(local_name(above) for above in element.iterancestors())]
    return "/" + "/".join(reversed(names))


def _document_tag(body: etree._Element) -> str:
    parent = body.getparent()
    return str(body.tag) if parent is None else str(parent.tag)


__all__ = [
    "MAX_BYTES",
    "MAX_STREAM_BYTES",
    "GroupHeader",
    "Pain001",
    "Pain001Stream",
    "read_pain001",
    "stream_pain001",
]
