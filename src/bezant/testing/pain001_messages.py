"""Customer credit transfer initiations of every version, written for the tests."""

from __future__ import annotations

DEBTOR_IBAN = "DE00500105175407324931"


def message(version: str = "09", *, payments: str | None = None, **parts: str) -> str:
    """Return a valid ``pain.001.001.VERSION``; `parts` replace or add text at named places."""
    number = int(version)
    root = "pain.001.001.02" if number == 2 else "CstmrCdtTrfInitn"
    bic = "BIC" if number <= 3 else "BICFI"
    date = "2026-02-04" if number < 8 else "<Dt>2026-02-04</Dt>"
    namespace = parts.get("namespace", f"urn:iso:std:iso:20022:tech:xsd:pain.001.001.{version}")
    count = parts.get("count", "<NbOfTxs>2</NbOfTxs>")
    total = parts.get("total", "<CtrlSum>30.75</CtrlSum>")
    return (
        f'{parts.get("prolog", "")}<Document xmlns="{namespace}"><{root}>'
        f"<GrpHdr><MsgId>MSG-1</MsgId><CreDtTm>2026-02-04T08:00:00</CreDtTm>{count}{total}"
        f"{'<Grpg>MIXD</Grpg>' if number == 2 else ''}<InitgPty><Nm>Ranu Ltd</Nm></InitgPty></GrpHdr>"
        f"<PmtInf><PmtInfId>BLOCK-1</PmtInfId><PmtMtd>{parts.get('method', 'TRF')}</PmtMtd>"
        f"{parts.get('block_totals', '')}"
        f"<ReqdExctnDt>{parts.get('date', date)}</ReqdExctnDt><Dbtr><Nm>Ranu\n  Ltd</Nm></Dbtr>"
        f"{parts.get('debtor_account', f'<DbtrAcct><Id><IBAN>{DEBTOR_IBAN}</IBAN></Id></DbtrAcct>')}"
        f"<DbtrAgt><FinInstnId><{bic}>AAAADEFF</{bic}></FinInstnId></DbtrAgt>"
        f"<UltmtDbtr><Nm>Ranu Holding</Nm></UltmtDbtr><ChrgBr>SLEV</ChrgBr>"
        f"{payments if payments is not None else two_payments(version)}"
        f"{parts.get('end_of_block', '')}</PmtInf></{root}></Document>"
    )


def payment(amount: str = '<InstdAmt Ccy="EUR">10.25</InstdAmt>', **parts: str) -> str:
    """Return one CdtTrfTxInf; by default its IBAN has spaces, as people type it."""
    return (
        f"<CdtTrfTxInf><PmtId><InstrId>I-1</InstrId><EndToEndId>NOTPROVIDED</EndToEndId>"
        f"{parts.get('uetr', '')}</PmtId><Amt>{amount}</Amt>{parts.get('charge_bearer', '')}"
        f"{parts.get('cheque', '')}{parts.get('ultimate_debtor', '')}"
        f"{parts.get('creditor', '<Cdtr><Nm>Tola Meru</Nm></Cdtr>')}"
        f"{parts.get('account', '<CdtrAcct><Id><IBAN>fr00 3000 6000 01</IBAN></Id></CdtrAcct>')}"
        f"{parts.get('ultimate_creditor', '')}{parts.get('purpose', '')}{parts.get('remittance', '')}"
        "</CdtTrfTxInf>"
    )


def two_payments(version: str) -> str:
    number = int(version)
    if number == 2:
        other_id = "<PrtryAcct><Id>77-1</Id></PrtryAcct>"
        reference = "<CdtrRefInf><CdtrRef>RF18</CdtrRef></CdtrRefInf>"
        document = "<RfrdDocInf><RfrdDocNb>INV-7</RfrdDocNb></RfrdDocInf>"
    else:
        other_id = "<Othr><Id>77-1</Id></Othr>"
        reference = "<CdtrRefInf><Ref>RF18</Ref></CdtrRefInf>"
        document = "<RfrdDocInf><Nb>INV-7</Nb></RfrdDocInf>"
    uetr = "<UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR>" if number >= 9 else ""
    structured = payment(
        '<InstdAmt Ccy="EUR">20.50</InstdAmt>',
        uetr=uetr,
        account=f"<CdtrAcct><Id>{other_id}</Id></CdtrAcct>",
        purpose="<Purp><Cd>SALA</Cd></Purp>",
        remittance=f"<RmtInf><Strd>{document}{reference}<AddtlRmtInf>thanks</AddtlRmtInf></Strd></RmtInf>",
    )
    plain = payment(
        remittance="<RmtInf><Ustrd>first</Ustrd><Ustrd>second</Ustrd></RmtInf>",
        account="<CdtrAcct><Id><IBAN>FR0030006000011234567890189</IBAN></Id></CdtrAcct>",
    )
    return plain + structured
