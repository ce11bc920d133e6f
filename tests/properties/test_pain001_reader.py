"""Whatever bytes arrive, the reader answers with payments or with one of our errors."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.errors import BezantError
from bezant.interfaces.iso20022 import read_pain001

HEAD = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"><CstmrCdtTrfInitn><GrpHdr>'
    "<MsgId>m</MsgId><NbOfTxs>{count}</NbOfTxs><CtrlSum>{total}</CtrlSum></GrpHdr><PmtInf>"
    "<DbtrAcct><Id><IBAN>DE00</IBAN></Id></DbtrAcct>"
)
ONE = (
    '<CdtTrfTxInf><Amt><InstdAmt Ccy="EUR">{amount}</InstdAmt></Amt><Cdtr><Nm>Tola</Nm></Cdtr></CdtTrfTxInf>'
)
TAIL = "</PmtInf></CstmrCdtTrfInitn></Document>"


def build(cents: list[int]) -> str:
    texts = [f"{value // 100}.{value % 100:02}" for value in cents]
    total = f"{sum(cents) // 100}.{sum(cents) % 100:02}"
    head = HEAD.format(count=len(cents), total=total)
    return head + "".join(ONE.format(amount=text) for text in texts) + TAIL


@given(st.lists(st.integers(1, 2**63), min_size=1, max_size=20))
def test_amounts_survive_exactly_and_add_up(cents: list[int]) -> None:
    instructions = read_pain001(build(cents).encode()).instructions
    assert [int(Decimal(one.instructed_amount) * 100) for one in instructions] == cents


@settings(max_examples=300)
@given(st.data())
def test_damaged_messages_never_crash(data: st.DataObject) -> None:
    raw = bytearray(build([100, 250]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=6))
        if not raw:
            break
    with suppress(BezantError):
        read_pain001(bytes(raw))


@given(st.binary(max_size=200))
def test_any_bytes_never_crash(raw: bytes) -> None:
    with suppress(BezantError):
        read_pain001(raw)


@given(st.recursive(st.text("<>/&;a ", max_size=6), lambda inner: st.tuples(inner, inner), max_leaves=8))
def test_nested_markup_never_crashes(tree: object) -> None:
    def render(node: object) -> str:
        return (
            "".join(f"<PmtInf>{render(part)}</PmtInf>" for part in node)
            if isinstance(node, tuple)
            else str(node)
        )

    text = f"<CstmrCdtTrfInitn><GrpHdr/>{render(tree)}</CstmrCdtTrfInitn>"
    with suppress(BezantError):
        read_pain001(text.encode())
