"""Parties and accounts: who somebody is goes into the vault, what they may hold onto the ledger."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import numpy as np

from bezant.chain.balances import BalanceFile, build_balance
from bezant.errors import InputError, NotFound, StorageError, VaultError
from bezant.gateway import commands
from bezant.gateway.countries import Countries
from bezant.gateway.desk import Desk
from bezant.gateway.screening import KEPT_EVERY
from bezant.intelligence.countries import UNKNOWN
from bezant.intelligence.watchlist import Hit, Watchlist
from bezant.ledger.batch import account_id
from bezant.model.identifiers import AccountId, join, new_payment_id, words
from bezant.model.keys import SCHEME_ED25519, authority_id
from bezant.model.money import U64_MAX, Asset
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import NO_ROW, id_of
from bezant.pipeline.intake import Answers
from bezant.stages.resources import ERASED, NOBODY
from bezant.vault import VaultKind

MAX_PARTY = 2**32 - 1
"""Party numbers are 32 bits wide in the vault."""


class PartyProfile(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the vault keeps of a party."""

    name: str
    country: str = ""
    kind: str = "person"


@dataclass(frozen=True, slots=True)
class Party:
    """A registered party; `hits` are the listed names it resembles."""

    number: int
    screening: Verdict
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """One account to open; limits in minor units."""

    party: int
    asset: Asset
    public_key: bytes | None = None
    """The holder's own key; without it the institution holds the account for the party."""
    scheme: int = SCHEME_ED25519
    """What the holder's key signs with."""
    credit_limit: int = 0
    balance_limit: int = 0


class Accounts:
    """Registers, screens and erases parties; opens, funds and freezes their accounts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._treasuries: dict[int, AccountId] = {}
        self._countries = Countries(self._read_country)
        self._rescreening, self._binding = threading.Lock(), threading.Lock()
        """The second is held where a verdict reaches accounts: none may get that of a list that is gone."""

    def register_parties(self, profiles: Sequence[PartyProfile]) -> list[Party]:
        """Register parties: a key each, a sealed profile, and their names matched with the list.

        Raises: InputError for a name that is blank or has control characters, which nothing matches.
        """
        for profile in profiles:
            _check_name(profile.name)
        desk = self._desk
        numbers = desk.vault.new_parties(len(profiles))
        ids = np.array(numbers, np.uint64)
        desk.vault.seal_texts(
            VaultKind.PARTY_PROFILE,
            ids,
            np.zeros(len(ids), np.uint64),
            numbers,
            [msgspec.json.encode(profile) for profile in profiles],
        )
        desk.vault.sync()
        found = []
        for number, profile in zip(numbers.tolist(), profiles, strict=True):
            verdict, hits = desk.screening.judge_party(number, profile.name)
            self._countries.note(number, profile.country)
            found.append(Party(number, verdict, hits))
        with suppress(StorageError):
            # They are registered; this saves time at the next start and nothing else.
            desk.screening.keep(desk.vault, after=KEPT_EVERY)
        return found

    def profile(self, party: int) -> PartyProfile:
        """Return what is known of a party. Raises: NotFound, VaultError code ``erased``."""
        if not 0 < party <= MAX_PARTY:
            raise NotFound(f"there is no party {party}", code="party_unknown")
        return msgspec.json.decode(self._desk.vault.read(VaultKind.PARTY_PROFILE, party), type=PartyProfile)

    def open(self, openings: Sequence[Opening], *, mandates: bool = True) -> list[AccountId]:
        """Open accounts and bind them to their parties; returns ids in order, once durable.

        With `mandates` the gateway may pay from them, up to the configured cap a payment.

        Raises: BezantError naming the outcome when the ledger refuses one.
        """
        opened: list[AccountId] = []
        step = MAX_AUTHORISED_RECORDS
        for start in range(0, len(openings), step):
            opened += self._open_some(openings[start : start + step], mandates)
        return opened

    def _open_some(self, openings: Sequence[Opening], mandates: bool) -> list[AccountId]:
        desk, now_ms = self._desk, self._desk.now_ms()
        house = authority_id(desk.institution_key.public)
        keys = {(one.scheme, one.public_key) for one in openings if one.public_key is not None}
        self._register_keys(sorted(keys))
        records, accounts = [], []
        for opening in openings:
            holder = authority_id(opening.public_key, opening.scheme) if opening.public_key else house
            salt = secrets.randbits(128) | 1
            account = account_id(desk.institution, holder, opening.asset.number, salt)
            accounts.append(account)
            records.append(
                commands.open_account(
                    now_ms,
                    account,
                    holder,
                    opening.asset.number,
                    salt,
                    credit_limit=opening.credit_limit,
                    balance_limit=opening.balance_limit,
                )
            )
        self._bind(accounts, [opening.party for opening in openings])
        self._desk.carry_out(np.concatenate(records), "open an account")
        if mandates and desk.delegate_cap:
            gateway = authority_id(desk.gateway_key.public)
            granted = [commands.set_delegate(now_ms, a, gateway, desk.delegate_cap) for a in accounts]
            self._desk.carry_out(np.concatenate(granted), "give the gateway its mandate")
        self._set_columns(accounts, [opening.party for opening in openings])
        return accounts

    def treasury(self, asset: Asset) -> AccountId:
        """Return the issuer's account of an asset, opened on first use; it is where money comes from."""
        known = self._treasuries.get(asset.number)
        if known is not None:
            return known
        holder = authority_id(self._desk.institution_key.public)
        account = account_id(self._desk.institution, holder, asset.number, 0)
        if self._desk.engine.ledger.account(account) is None:
            record = commands.open_account(
                self._desk.now_ms(), account, holder, asset.number, 0, credit_limit=U64_MAX
            )
            self._desk.carry_out(record, "open the treasury", also=Outcome.ACCOUNT_EXISTS)
        self._treasuries[asset.number] = account
        return account

    def fund(self, account: AccountId, asset: Asset, amount_minor: int) -> Answers:
        """Issue money: pay from the treasury to an account. Raises: BezantError naming the outcome."""
        record = commands.transfer(
            new_payment_id(self._desk.now_ms()),
            self.treasury(asset),
            account,
            asset.number,
            amount_minor,
            may_review=False,
        )
        return self._desk.carry_out(record, "issue money")

    def freeze(self, account: AccountId, frozen: bool) -> None:
        """Freeze or thaw an account. Raises: NotFound, BezantError."""
        self.row(account)
        self._desk.carry_out(commands.set_frozen(self._desk.now_ms(), account, frozen), "freeze an account")

    def check_party(self, party: int) -> None:
        """Raise InputError unless a party of that number is registered and not erased."""
        try:
            self.profile(party)
        except (NotFound, VaultError):
            raise InputError(
                f"there is no party {party}; register it first", code="party_unusable", param="party"
            ) from None

    def party_of(self, account: AccountId) -> int:
        """Return the party that an account is bound to, 0 for the node's own."""
        low, high = words(account)
        rows = self._desk.engine.ledger.account_rows(np.array([low], np.uint64), np.array([high], np.uint64))
        return int(self._desk.parties.parties(rows)[0])

    def of_party(self, party: int) -> list[AccountId]:
        """Return the accounts bound to a party."""
        rows = self._desk.parties.rows_of(party)
        ledger = self._desk.engine.ledger.accounts
        return [AccountId(id_of(ledger[row], "id")) for row in rows.tolist()]

    def erase(self, party: int) -> list[AccountId]:
        """Destroy a party's key, so that nothing sealed for it can be read again, and freeze its
        accounts; every proof still verifies. Returns the accounts.

        Raises: InputError, VaultError ``party_unknown``.
        """
        if party == NOBODY:
            raise InputError(
                "party 0 is the node itself and cannot be erased", code="party_permanent", param="party"
            )
        accounts = self.of_party(party)
        for account in accounts:
            self.freeze(account, True)
        # From here on nothing more is sealed for it, so that its key can go.
        self._set_columns(accounts, [ERASED] * len(accounts))
        self._desk.vault.erase(party)
        self._desk.screening.forget(party)
        self._desk.on_erased(party)
        return accounts

    def proof(self, account: AccountId) -> BalanceFile:
        """Return what an account held at the last covered state, as a file. Raises: NotFound."""
        evidence = self._desk.engine.prove_account(account)
        return build_balance(evidence, self._desk.notary.witnessed(evidence.block.height))

    def row(self, account: AccountId) -> np.void:
        """Return the ledger's row of an account, dtype ACCOUNT. Raises: NotFound."""
        row = self._desk.engine.ledger.account(account)
        if row is None:
            raise NotFound(f"there is no account {account:032x}", code="account_unknown", param="account")
        return row

    def asset(self, code: str) -> Asset:
        """Return an asset of this network by code. Raises: InputError."""
        try:
            return self._desk.engine.genesis.asset(code)
        except KeyError:
            known = ", ".join(asset.code for asset in self._desk.engine.genesis.assets)
            raise InputError(
                f"asset {code[:16]!r} is not known here; there are {known}",
                code="asset_unknown",
                param="asset",
            ) from None

    def rescreen(self, read: Callable[[], Watchlist]) -> list[int]:
        """Match every party with a list that has changed; return those whose verdict is another now.

        `read` reads the list: one thread at a time, so that what is read last is in force last.

        Parties that no entry spoke against are matched with the changed entries alone. What payments
        read is changed account by account, while they flow.
        """
        desk, screening = self._desk, self._desk.screening
        changed = []
        with self._rescreening, screening.changing(read()) as entries:
            for entry in desk.vault.entries(VaultKind.PARTY_PROFILE):
                name = msgspec.json.decode(entry.text, type=PartyProfile).name
                before = screening.of(entry.party)
                if before is Verdict.ALLOW and not entries.match(name):
                    continue
                with self._binding:
                    verdict, _ = screening.judge_party(entry.party, name)
                    if verdict is not before:
                        for row in desk.parties.rows_of(entry.party).tolist():
                            desk.parties.set(row, entry.party, verdict)
                        changed.append(entry.party)
        screening.keep(desk.vault)
        return changed

    def load_bindings(self, *, tell_from: int | None = None) -> None:
        """Fill the columns by account row from the vault: whose account it is and how it was screened.

        `tell_from` repeats the bindings of accounts from that ledger row on to the store. It needs those of
        the accounts that it has not projected yet: a power cut may have taken what it was told of them.
        """
        desk = self._desk
        new = desk.vault.entries(VaultKind.PARTY_PROFILE, above=desk.screening.recall(desk.vault))
        for profile in new:
            name = msgspec.json.decode(profile.text, type=PartyProfile).name
            desk.screening.judge_party(profile.party, name)
        desk.screening.cover(desk.vault.last_party)
        desk.screening.keep(desk.vault)
        for batch in desk.vault.batches(VaultKind.ACCOUNT_PARTY):
            rows = desk.engine.ledger.account_rows(batch.ids_lo, batch.ids_hi)
            known = rows != NO_ROW
            parties, countries = batch.party[known], self._countries.bound(batch)[known]
            desk.parties.set_all(rows[known], parties, desk.screening.verdicts(parties), countries)
            if tell_from is not None:
                new_to_it = known & (rows >= tell_from)
                ids = zip(batch.ids_lo[new_to_it].tolist(), batch.ids_hi[new_to_it].tolist(), strict=True)
                bound = [AccountId(join(low, high)) for low, high in ids]
                if bound:
                    desk.on_bound(dict(zip(bound, batch.party[new_to_it].tolist(), strict=True)))
        self._load_erased()

    def _load_erased(self) -> None:
        """Mark the accounts of erased parties, and finish an erasure that the last run was stopped in."""
        desk = self._desk
        ledger = desk.engine.ledger.accounts
        unbound = np.flatnonzero(desk.parties.parties(np.arange(len(ledger), dtype=np.uint32)) == NOBODY)
        erased: set[int] = set()
        for row in unbound.tolist():
            account = AccountId(id_of(ledger[row], "id"))
            try:
                party = desk.vault.party_of(VaultKind.ACCOUNT_PARTY, account)
            except NotFound:
                continue
            desk.parties.set(row, ERASED, Verdict.ALLOW, UNKNOWN)
            # A new store has to know whose it was, to forget what payments with others would tell it.
            desk.on_bound({account: party})
            erased.add(party)
        for party in sorted(erased):
            desk.on_erased(party)

    def _register_keys(self, keys: Sequence[tuple[int, bytes]]) -> None:
        """Register the authorities of (scheme, key) pairs, unless they are."""
        desk, now_ms = self._desk, self._desk.now_ms()
        new = [
            (scheme, key)
            for scheme, key in keys
            if not desk.engine.ledger.is_registered(authority_id(key, scheme))
        ]
        if new:
            records = [commands.register_authority(now_ms, key, scheme) for scheme, key in new]
            self._desk.carry_out(np.concatenate(records), "register a key", also=Outcome.AUTHORITY_EXISTS)

    def _bind(self, accounts: Sequence[AccountId], parties: Sequence[int]) -> None:
        """Seal which account is whose, durable before the account exists."""
        pairs = np.array([words(account) for account in accounts], np.uint64).reshape(-1, 2)
        columns = np.array(parties, np.uint32)
        texts = [self._countries.binding(party) for party in parties]
        vault = self._desk.vault
        low, high = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
        vault.seal_texts(VaultKind.ACCOUNT_PARTY, low, high, columns, texts)
        vault.sync()
        self._desk.on_bound(dict(zip(accounts, parties, strict=True)))

    def _set_columns(self, accounts: Sequence[AccountId], parties: Sequence[int]) -> None:
        pairs = np.array([words(account) for account in accounts], np.uint64).reshape(-1, 2)
        rows = self._desk.engine.ledger.account_rows(pairs[:, 0], pairs[:, 1])
        for row, party in zip(rows.tolist(), parties, strict=True):
            country = UNKNOWN if party == ERASED else self._countries.of(party)
            with self._binding:
                self._desk.parties.set(row, party, self._desk.screening.of(party), country)

    def _read_country(self, party: int) -> str:
        try:
            return self.profile(party).country
        except (NotFound, VaultError):
            return ""


def _check_name(name: str) -> None:
    """Raise InputError for a name that screening could not see as people see it."""
    # C: control, format (which turns the writing direction), surrogate, private use.
    odd = any(unicodedata.category(character).startswith("C") for character in name)
    if odd or not name.strip():
        raise InputError(
            "a party's name must have letters and no control characters", code="name_invalid", param="name"
        )
