"""Reading pain.001: versions, variants, checks and refusals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lxml import etree

from bezant.errors import AmountError, BezantError, DecodeError, InputError
from bezant.interfaces.iso20022 import read_pain001, stream_pain001
from bezant.model.payment import PaymentInstruction
from bezant.testing.pain001_messages import DEBTOR_IBAN, message, payment

VERSIONS = [f"{number:02}" for number in range(2, 13)]
DATA = Path(os.environ.get("BEZANT_DATA", Path(__file__).parents[5] / "shared" / "data"))


def read(text: str) -> tuple[PaymentInstruction, ...]:
    return read_pain001(text.encode()).instructions


def read_one(amount: str = '<InstdAmt Ccy="EUR">10.25</InstdAmt>', **parts: str) -> PaymentInstruction:
    (instruction,) = read(message(payments=payment(amount, **parts), count="", total=""))
    return instruction


def refused(text: str | bytes) -> BezantError:
    with pytest.raises(BezantError) as caught:
        read_pain001(text.encode() if isinstance(text, str) else text)
    return caught.value


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_reads_the_same(version: str) -> None:
    result = read_pain001(message(version).encode())
    assert result.header.version == f"pain.001.001.{version}"
    assert result.header.message_id == "MSG-1"
    assert result.header.initiating_party.name == "Ranu Ltd"
    plain, structured = result.instructions
    assert (plain.instructed_amount, plain.currency) == ("10.25", "EUR")
    assert plain.debtor.account == DEBTOR_IBAN
    assert plain.debtor.name == "Ranu Ltd"
    assert plain.debtor.agent == "AAAADEFF"
    assert plain.ultimate_debtor.name == "Ranu Holding"
    assert plain.creditor.account == "FR0030006000011234567890189"
    assert plain.end_to_end_id == "NOTPROVIDED"
    assert plain.charge_bearer == "SLEV"
    assert plain.requested_execution_date == "2026-02-04"
    assert plain.remittance_information == "first second"
    assert structured.creditor.account == "77-1"
    assert structured.purpose == "SALA"
    assert structured.remittance_information == "INV-7 RF18 thanks"
    assert structured.payment_information_id == "BLOCK-1"
    assert bool(structured.uetr) == (int(version) >= 9)


def test_the_first_version_had_other_names() -> None:
    text = (
        '<Document xmlns="urn:iso:std:iso:20022:xsd:pain.001.001.01"><pain.001.001.01><GrpHdr>'
        "<GrpId>G1</GrpId></GrpHdr><PmtInf><ReqdExctnDt>2006-01-02</ReqdExctnDt>"
        "<PmtMtdByFrstAgt>TRF</PmtMtdByFrstAgt>"
        "<DbtrAcct><Id><DmstAcct><Id>55</Id></DmstAcct></Id></DbtrAcct>"
        "<FrstAgt><FinInstnId><BIC>AAAADEFF</BIC></FinInstnId></FrstAgt>"
        "<PmtTx><PmtId><EndToEndId>E</EndToEndId></PmtId>"
        '<Amt><InstdAmt Ccy="EUR">3.00</InstdAmt></Amt><Cdtr><Nm>Tola</Nm></Cdtr></PmtTx>'
        "</PmtInf></pain.001.001.01></Document>"
    )
    result = read_pain001(text.encode())
    (instruction,) = result.instructions
    assert result.header.message_id == "G1"
    assert (instruction.debtor.account, instruction.debtor.agent) == ("55", "AAAADEFF")
    assert instruction.payment_method == "TRF"


@pytest.mark.parametrize("version", VERSIONS)
def test_our_samples_are_valid_against_the_published_schemas(version: str) -> None:
    schema = DATA / "iso20022" / "xsd" / "iso" / f"pain.001.001.{version}.xsd"
    if not schema.exists():
        pytest.skip(f"the schema collection is not beside this checkout ({schema})")
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(message(version)))


def test_every_published_sample_goes_through() -> None:
    samples = sorted((DATA / "iso20022" / "samples").rglob("*pain*001*.xml"))
    if not samples:
        pytest.skip(f"no sample messages under {DATA}")
    counts = {sample.name: len(read_pain001(sample).instructions) for sample in samples}
    assert min(counts.values()) >= 1
    assert counts.get("example_sepa_pain_001_v3_multiple_pmtinf.xml", 2) == 2


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        "urn:iso:std:iso:20022:tech:xsd:pain.001.003.03",
        "urn:swift:xsd:$pain.001.001.03",
        "http://www.six-interbank-clearing.com/de/pain.001.001.03.ch.02.xsd",
    ],
)
def test_namespaces_of_countries_and_banks(namespace: str) -> None:
    assert len(read(message("03", namespace=namespace))) == 2


def test_prefixed_elements() -> None:
    text = message("09").replace("<", "<p:").replace("<p:/", "</p:").replace("xmlns=", "xmlns:p=")
    assert len(read(text)) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<BusinessMessage><AppHdr><BizMsgIdr>B</BizMsgIdr></AppHdr>", "</BusinessMessage>"),
        (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>',
            "</s:Body></s:Envelope>",
        ),
        ("<Saa:DataPDU xmlns:Saa='urn:swift:saa:xsd:saa.2.0'><Saa:Body>", "</Saa:Body></Saa:DataPDU>"),
    ],
)
def test_envelopes(before: str, after: str) -> None:
    assert len(read(before + message("09") + after)) == 2


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("UTF-8", "utf-8-sig"),
        ("ISO-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
        ("UTF-16", "utf-16"),
        ("UTF-16", "utf-8"),
    ],
)
def test_encodings(declared: str, codec: str) -> None:
    prolog = f'<?xml version="1.0" encoding="{declared}"?>'
    text = message("03", prolog=prolog).replace("Tola", "Tölä")
    assert read_pain001(text.encode(codec)).instructions[0].creditor.name == "Tölä Meru"


def test_blank_lines_before_the_prolog() -> None:
    assert len(read("\n\n" + message("03", prolog='<?xml version="1.0"?>'))) == 2


def test_comments_inside_texts_do_not_cut_them() -> None:
    assert read(message("09").replace("Tola", "To<!-- x -->la"))[0].creditor.name == "Tola Meru"


def test_a_message_without_an_outer_document() -> None:
    text = message("09")
    inner = text[text.index("<CstmrCdtTrfInitn>") : text.index("</Document>")]
    assert len(read(inner)) == 2


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("<CdtrAcct><Id><IBAN>fr00 3000 6000 01</IBAN></Id></CdtrAcct>", "FR003000600001"),
        ("<CdtrAcct><Id><Othr><Id>0098 A</Id></Othr></Id></CdtrAcct>", "0098 A"),
        ("<CdtrAcct><Id><BBAN>123</BBAN></Id></CdtrAcct>", "123"),
        ("<CdtrAcct><Id><UPIC>456</UPIC></Id></CdtrAcct>", "456"),
        ("<CdtrAcct><Prxy><Tp><Cd>MBNO</Cd></Tp><Id>+4670</Id></Prxy></CdtrAcct>", "+4670"),
        ("<CdtrAcct><Nm>Savings of Tola</Nm></CdtrAcct>", "Savings of Tola"),
    ],
)
def test_account_identifiers(account: str, expected: str) -> None:
    assert read_one(account=account).creditor.account == expected


@pytest.mark.parametrize(
    ("parts", "designation"),
    [
        ({}, "Tola Meru"),
        ({"creditor": "<Cdtr><Id><OrgId><LEI>L1</LEI></OrgId></Id></Cdtr>"}, "L1"),
        ({"creditor": "", "ultimate_creditor": "<UltmtCdtr><Nm>Mera</Nm></UltmtCdtr>"}, "Mera"),
        (
            {"creditor": "<CdtrAgt><FinInstnId><BICFI>BBBBDEFF</BICFI></FinInstnId></CdtrAgt>"},
            "BBBBDEFF",
        ),
    ],
)
def test_a_cheque_without_creditor_account_goes_by_the_next_best_name(
    parts: dict[str, str], designation: str
) -> None:
    text = message(payments=payment(account="", **parts), count="", total="", method="CHK")
    (instruction,) = read(text)
    assert instruction.payment_method == "CHK"
    assert instruction.creditor.account == ""
    assert instruction.creditor.designation == designation


def test_nobody_to_pay_is_refused() -> None:
    problem = refused(message(payments=payment(account="", creditor="")))
    assert problem.code == "creditor_missing"


def test_a_missing_debtor_account_names_path_and_line() -> None:
    problem = refused("\n\n" + message().replace("<PmtInf>", "\n\n<PmtInf>").replace("IBAN", "Nothing", 2))
    assert problem.code == "debtor_account_missing"
    assert problem.param == "/Document/CstmrCdtTrfInitn/PmtInf[1]/DbtrAcct"
    assert "line 3" in problem.message


def test_equivalent_amount() -> None:
    amount = '<EqvtAmt><Amt Ccy="EUR">7.5</Amt><CcyOfTrf>USD</CcyOfTrf></EqvtAmt>'
    instruction = read_one(amount)
    assert (instruction.instructed_amount, instruction.currency) == ("7.5", "EUR")
    assert instruction.transfer_currency == "USD"


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("25000.00", "25000.00"),
        (" \n 12.5 ", "12.5"),
        ("10", "10"),
        (".50", "0.50"),
        ("5.", "5"),
        ("1.5000", "1.5000"),
    ],
)
def test_amounts_stay_exact(written: str, read_as: str) -> None:
    assert read_one(f'<InstdAmt Ccy="EUR">{written}</InstdAmt>').instructed_amount == read_as


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ('<InstdAmt Ccy="EUR">1E3</InstdAmt>', "amount_malformed"),
        ('<InstdAmt Ccy="EUR">+5</InstdAmt>', "amount_malformed"),
        ('<InstdAmt Ccy="EUR">1,50</InstdAmt>', "amount_malformed"),
        ('<InstdAmt Ccy="EUR">.</InstdAmt>', "amount_malformed"),
        ('<InstdAmt Ccy="EUR"></InstdAmt>', "amount_malformed"),
        ('<InstdAmt Ccy="EUR">-5.00</InstdAmt>', "amount_negative"),
        ('<InstdAmt Ccy="EUR">0.00</InstdAmt>', "amount_zero"),
        ('<InstdAmt Ccy="EUR">1.005</InstdAmt>', "amount_over_precise"),
        ('<InstdAmt Ccy="JPY">1.5</InstdAmt>', "amount_over_precise"),
        ('<InstdAmt Ccy="EUR">999999999999999999.00</InstdAmt>', "amount_too_large"),
        ("", "amount_missing"),
    ],
)
def test_amounts_that_are_refused(amount: str, code: str) -> None:
    problem = refused(message(payments=payment(amount), count="", total=""))
    assert isinstance(problem, AmountError)
    assert problem.code == code


def test_three_decimals_where_the_currency_has_them() -> None:
    assert read_one('<InstdAmt Ccy="KWD">1.005</InstdAmt>').instructed_amount == "1.005"


def test_decimals_of_other_assets_are_an_option() -> None:
    text = message(payments=payment('<InstdAmt Ccy="XBT">0.00000001</InstdAmt>'), count="", total="")
    assert refused(text).code == "amount_over_precise"
    assert read_pain001(text.encode(), scales={"XBT": 8}).instructions[0].currency == "XBT"


@pytest.mark.parametrize("currency", ["eur", "EU", "EURO", "E1R", ""])
def test_malformed_currencies(currency: str) -> None:
    text = message(payments=payment(f'<InstdAmt Ccy="{currency}">1.00</InstdAmt>'))
    assert refused(text).code == "currency_malformed"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"count": "<NbOfTxs>3</NbOfTxs>"}, "count_mismatch"),
        ({"count": "<NbOfTxs>two</NbOfTxs>"}, "count_malformed"),
        ({"total": "<CtrlSum>30.74</CtrlSum>"}, "control_sum_mismatch"),
        ({"total": "<CtrlSum>3e1</CtrlSum>"}, "control_sum_malformed"),
        ({"block_totals": "<NbOfTxs>1</NbOfTxs>"}, "count_mismatch"),
        ({"block_totals": "<CtrlSum>30.7500001</CtrlSum>"}, "control_sum_mismatch"),
    ],
)
def test_counts_and_control_sums(parts: dict[str, str], code: str) -> None:
    assert refused(message(**parts)).code == code


def test_control_sums_may_be_written_another_way() -> None:
    text = message(total="<CtrlSum>30.750</CtrlSum>", block_totals="<CtrlSum>030.75</CtrlSum>")
    assert len(read(text)) == 2


def _two_blocks(count: str, total: str) -> bytes:
    text = message(count=count, total=total, block_totals="<NbOfTxs>2</NbOfTxs><CtrlSum>30.75</CtrlSum>")
    block = text[text.index("<PmtInf>") : text.index("</CstmrCdtTrfInitn>")]
    return text.replace("</CstmrCdtTrfInitn>", block + "</CstmrCdtTrfInitn>").encode()


def test_blocks_are_read_in_order_and_summed() -> None:
    source = _two_blocks("<NbOfTxs>4</NbOfTxs>", "<CtrlSum>61.50</CtrlSum>")
    assert len(read_pain001(source).instructions) == 4


def test_a_header_that_repeats_the_first_block_is_remarked_or_refused() -> None:
    source = _two_blocks("<NbOfTxs>2</NbOfTxs>", "<CtrlSum>30.75</CtrlSum>")
    result = read_pain001(source)
    assert len(result.instructions) == 4
    assert len(result.remarks) == 1
    with pytest.raises(InputError) as caught:
        read_pain001(source, strict=True)
    assert caught.value.code == "count_mismatch"


def test_a_header_with_any_other_sum_is_refused_whatever_the_blocks_say() -> None:
    assert refused(_two_blocks("<NbOfTxs>2</NbOfTxs>", "<CtrlSum>31.00</CtrlSum>")).code == "count_mismatch"


def test_charge_bearer_of_the_payment_comes_first() -> None:
    assert read_one(charge_bearer="<ChrgBr>DEBT</ChrgBr>").charge_bearer == "DEBT"
    problem = refused(message(payments=payment(charge_bearer="<ChrgBr>MINE</ChrgBr>")))
    assert problem.code == "charge_bearer_unknown"


def test_execution_date_with_time_and_impossible_dates() -> None:
    assert read(message(date="<DtTm>2026-02-04T10:00:00+01:00</DtTm>"))[0].requested_execution_date == (
        "2026-02-04T10:00:00+01:00"
    )
    assert refused(message(date="<Dt>2026-02-30</Dt>")).code == "execution_date_malformed"


def test_a_malformed_uetr_is_refused() -> None:
    assert refused(message(payments=payment(uetr="<UETR>abc</UETR>"))).code == "uetr_malformed"


LAUGHS = (
    '<!DOCTYPE z [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "<Document>&i;</Document>",
        LAUGHS + '<Document name="&i;"/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><Document>&x;</Document>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><Document/>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1/p"> %p;]><Document/>',
        "<!DOCTYPE Document>" + message(),
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_documents_with_entities_are_refused(text: str, codec: str) -> None:
    problem = refused(text.encode(codec))
    assert isinstance(problem, DecodeError)
    assert problem.code == "xml_entities_refused"


def test_malformed_xml_names_the_line() -> None:
    problem = refused("<Document>\n\n<CstmrCdtTrfInitn></Document>")
    assert isinstance(problem, DecodeError)
    assert "line 3" in problem.message


def test_a_truncated_message_gives_no_payment_at_all() -> None:
    assert refused(message()[:-40]).code == "malformed"


@pytest.mark.parametrize("body", ["CstmrDrctDbtInitn", "CstmrPmtStsRpt", "FIToFICstmrCdtTrf"])
def test_other_messages_are_named(body: str) -> None:
    problem = refused(message().replace("CstmrCdtTrfInitn", body))
    assert problem.code == "message_unsupported"
    assert body in problem.message


def test_two_messages_in_one_file_are_refused() -> None:
    assert refused(f"<Batch>{message()}{message()}</Batch>").code == "several_messages"


def test_size_limit_comes_before_parsing(tmp_path: Path) -> None:
    path = tmp_path / "big.xml"
    path.write_bytes(b"<" * 1_000)
    for source in (path, path.read_bytes()):
        with pytest.raises(InputError) as caught:
            read_pain001(source, max_bytes=999)
        assert caught.value.code == "message_too_large"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_pain001(tmp_path / "absent.xml")
    assert caught.value.code == "file_unreadable"


def test_the_stream_gives_the_same_payments_as_often_as_wanted(tmp_path: Path) -> None:
    path = tmp_path / "message.xml"
    path.write_text(message())
    stream = stream_pain001(path)
    assert len(stream) == 2
    assert list(stream) == list(stream) == list(read(message()))


def test_the_stream_finds_a_wrong_sum_before_the_first_payment() -> None:
    with pytest.raises(InputError) as caught:
        stream_pain001(message(total="<CtrlSum>1</CtrlSum>").encode())
    assert caught.value.code == "control_sum_mismatch"


def test_a_long_message_crosses_many_chunks() -> None:
    many = payment() * 2_000
    text = message(payments=many, count="<NbOfTxs>2000</NbOfTxs>", total="<CtrlSum>20500.00</CtrlSum>")
    stream = stream_pain001(text.encode())
    assert stream.count == 2_000
    assert {instruction.creditor.account for instruction in stream} == {"FR003000600001"}
