"""A file's time becomes block time, so it has to be one that a payment id can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bezant.errors import InputError
from bezant.interfaces.replay.run import Options, replay

MESSAGE = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"><CstmrCdtTrfInitn>
<GrpHdr><MsgId>M</MsgId><CreDtTm>{time}</CreDtTm><NbOfTxs>1</NbOfTxs></GrpHdr>
<PmtInf><PmtInfId>P</PmtInfId><PmtMtd>TRF</PmtMtd>
<Dbtr><Nm>Payer</Nm></Dbtr><DbtrAcct><Id><Othr><Id>1</Id></Othr></Id></DbtrAcct>
<CdtTrfTxInf><PmtId><EndToEndId>E</EndToEndId></PmtId><Amt><InstdAmt Ccy="EUR">1.00</InstdAmt></Amt>
<Cdtr><Nm>Payee</Nm></Cdtr><CdtrAcct><Id><Othr><Id>2</Id></Othr></Id></CdtrAcct>
</CdtTrfTxInf></PmtInf></CstmrCdtTrfInitn></Document>"""
CARDS = "time,debtor,creditor,amount\n{time},a,b,1.00\n"


@pytest.mark.parametrize("time", ["1899-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"])
@pytest.mark.parametrize(("name", "text"), [("message.xml", MESSAGE), ("cards.csv", CARDS)])
def test_times_that_no_payment_id_can_say(tmp_path: Path, name: str, text: str, time: str) -> None:
    path = tmp_path / name
    path.write_text(text.format(time=time), "utf-8")
    with pytest.raises(InputError) as caught:
        replay(path, Options(tmp_path / "data"), lambda what, share: None)
    assert caught.value.code == "time_out_of_range"
    assert not (tmp_path / "data").exists()
