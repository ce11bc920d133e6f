"""Parties, accounts and agents: where each version and country of a message puts them."""

from __future__ import annotations

from functools import cache

from bezant.interfaces.iso20022.documents import Leaves
from bezant.model.payment import PartyReference

# Preferred first. Later names are those of older versions and of national variants.
_AGENT_IDS = (
    "BICFI",
    "BIC",
    "ClrSysMmbId/MmbId",
    "ClrSysMmbId/Id",
    "ClrSysMmbId/Prtry",
    "CmbndId/BIC",
    "CmbndId/ClrSysMmbId/Id",
    "CmbndId/ClrSysMmbId/Prtry",
    "LEI",
    "Othr/Id",
    "PrtryId/Id",
    "CmbndId/PrtryId/Id",
    "Nm",
    "NmAndAdr/Nm",
    "CmbndId/Nm",
)
_IBANS = ("Id/IBAN",)
_ACCOUNT_IDS = (
    "Id/Othr/Id",
    "Id/BBAN",
    "Id/UPIC",
    "Id/PrtryAcct/Id",
    "Id/DmstAcct/Id",
    "Prxy/Id",
    "Nm",
)
_PARTY_IDS = (
    "Id/OrgId/LEI",
    "Id/OrgId/AnyBIC",
    "Id/OrgId/BICOrBEI",
    "Id/OrgId/BIC",
    "Id/OrgId/BEI",
    "Id/OrgId/Othr/Id",
    "Id/OrgId/PrtryId/Id",
    "Id/OrgId/BkPtyId",
    "Id/OrgId/TaxIdNb",
    "Id/OrgId/DUNS",
    "Id/OrgId/EANGLN",
    "Id/OrgId/IBEI",
    "Id/OrgId/USCHU",
    "Id/PrvtId/Othr/Id",
    "Id/PrvtId/OthrId/Id",
    "Id/PrvtId/CstmrNb",
    "Id/PrvtId/IdntyCardNb",
    "Id/PrvtId/PsptNb",
    "Id/PrvtId/TaxIdNb",
    "Id/PrvtId/SclSctyNb",
    "Id/PrvtId/DrvrsLicNb",
    "Id/PrvtId/AlnRegnNb",
    "Id/PrvtId/MplyrIdNb",
)


_NAMES = ("Nm", "Pty/Nm", "NmAndAdr/Nm")
_COUNTRIES = ("PstlAdr/Ctry", "CtryOfRes")
NOBODY = PartyReference()


def read_party(leaves: Leaves, party: str, account: str = "", *agents: str) -> PartyReference:
    """Return the party at these element names: ``read_party(tx, "Cdtr", "CdtrAcct", "CdtrAgt")``."""
    if leaves.names.isdisjoint((party, account, *agents)):
        return NOBODY
    return PartyReference(
        name=one_line(leaves.first(*_under(party, _NAMES))),
        account=read_account(leaves, account) if account else "",
        agent=read_agent(leaves, *agents),
        country=leaves.first(*_under(party, _COUNTRIES)),
        identification=leaves.first(*_under(party, _PARTY_IDS)),
    )


def read_account(leaves: Leaves, account: str) -> str:
    """Return the account's IBAN, else its other number, its proxy, or the name it goes by.

    The check digits of an IBAN are left to the account directory: a test file with wrong ones is
    still a readable message, and an IBAN nobody holds pays nobody.
    """
    iban = leaves.first(*_under(account, _IBANS))
    if iban:
        return "".join(iban.split()).upper()
    return one_line(leaves.first(*_under(account, _ACCOUNT_IDS)))


def read_agent(leaves: Leaves, *agents: str) -> str:
    for agent in agents:
        if agent in leaves.names:
            return one_line(leaves.first(*_under(f"{agent}/FinInstnId", _AGENT_IDS)))
    return ""


@cache
def _under(element: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{element}/{path}" for path in paths)


def one_line(text: str) -> str:
    """Return a text with every run of white space as one space: wrapped names are still one name."""
    return " ".join(text.split())
