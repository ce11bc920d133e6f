"""A payment as its customer asked for it, in ISO 20022 words: the intent, before any record.

These texts are personal data. They travel in memory and in the vault; journal and chain hold
only a salted commitment to `encode_payload`.
"""

from __future__ import annotations

import msgspec

SALT_BYTES = 16


class PartyReference(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One side of a payment as a message names it; every field may be missing but one."""

    name: str = ""
    account: str = ""
    """IBAN, proprietary account number or alias, exactly as written but without spaces in IBANs."""
    agent: str = ""
    """BIC or clearing member id of the account's servicer."""
    country: str = ""
    identification: str = ""
    """An organisation or private identifier (LEI, BIC, customer number)."""

    @property
    def designation(self) -> str:
        """What a directory looks this party up by: its account, else its name, identifier or agent.

        A cheque names no creditor account, so its payee is found by name.
        """
        return self.account or self.name or self.identification or self.agent


class PaymentInstruction(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One credit transfer as instructed."""

    debtor: PartyReference
    creditor: PartyReference
    instructed_amount: str
    """A decimal string, e.g. ``12.50``."""
    currency: str
    end_to_end_id: str = ""
    instruction_id: str = ""
    uetr: str = ""
    purpose: str = ""
    charge_bearer: str = ""
    remittance_information: str = ""
    requested_execution_date: str = ""
    message_id: str = ""
    payment_information_id: str = ""
    ultimate_debtor: PartyReference = PartyReference()
    """On whose behalf the debtor pays, if somebody else's."""
    ultimate_creditor: PartyReference = PartyReference()
    category_purpose: str = ""
    payment_method: str = ""
    """``TRF`` transfer, ``CHK`` cheque, ``TRA`` transfer with advice; empty is a transfer."""
    transfer_currency: str = ""
    """The currency the creditor is to receive where the amount is stated in another one (EqvtAmt)."""


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The texts that belong to one record, committed to by its `payload_commitment`."""

    end_to_end_id: str = ""
    uetr: str = ""
    purpose: str = ""
    charge_bearer: str = ""
    remittance_information: str = ""
    debtor_name: str = ""
    creditor_name: str = ""
    debtor_account: str = ""
    creditor_account: str = ""
    device: str = ""
    """What the payer pays with, by a name that stays the same: an app's installation, a card."""
    terminal: str = ""
    """Where: a point of sale, a cash machine."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Payload)


def encode_payload(payload: Payload) -> bytes:
    """Return the canonical bytes of a payload: JSON, fields in declared order, empty ones left out."""
    return _ENCODER.encode(payload)


def decode_payload(data: bytes) -> Payload:
    return _DECODER.decode(data)
