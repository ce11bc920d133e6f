"""Validators by hand: headers and votes as CometBFT would make them, for tests of proofs."""

from __future__ import annotations

from collections.abc import Sequence

from bezant.chain import finality
from bezant.chain.finality import Finality, SignedHeader, Validator, Vote
from bezant.model.genesis import GenesisValidator
from bezant.model.keys import SigningKey
from bezant.testing.ledgers import seeded_key

PARTS_HASH = bytes(range(32))


class Validators:
    """A set of validators that votes; `powers` by place, keys from a name."""

    def __init__(self, powers: Sequence[int] = (1, 1, 1, 1), name: str = "validator") -> None:
        keys = {seeded_key(f"{name} {place}"): power for place, power in enumerate(powers)}
        # In the order in which the engine keeps a set.
        self._keys = sorted(keys, key=lambda key: (-keys[key], finality.address(key.public)))
        self.members = tuple(Validator(key.public.hex(), keys[key]) for key in self._keys)

    def granted(self, institution: int = 1) -> tuple[GenesisValidator, ...]:
        """Return them as a genesis names them."""
        return tuple(GenesisValidator(one.key, one.power, institution) for one in self.members)

    def header(
        self, chain: str, height: int, time_ns: int, app_hash: bytes, *, last: bytes = bytes(32),
        following: Validators | None = None,
    ) -> tuple[bytes, ...]:  # fmt: skip
        """Return the fields of a header; those that no proof looks at hold little."""
        fields = [b""] * finality.FIELDS
        fields[0] = finality.number_field(1, 11) + finality.number_field(2, 1)
        fields[finality.CHAIN_ID] = finality.text_field(chain)
        fields[finality.HEIGHT] = finality.height_field(height)
        fields[finality.TIME] = finality.time_field(time_ns)
        parts = finality.parts_header(1, PARTS_HASH)
        fields[finality.LAST_BLOCK] = finality.hash_field(last) + finality.bytes_field(2, parts)
        own = finality.validators_hash(self.members)
        fields[finality.VALIDATORS] = finality.hash_field(own)
        after = own if following is None else finality.validators_hash(following.members)
        fields[finality.NEXT_VALIDATORS] = finality.hash_field(after)
        fields[finality.APP_HASH] = finality.hash_field(app_hash)
        return tuple(fields)

    def sign(
        self, chain: str, height: int, fields: Sequence[bytes], *, signers: int | None = None,
        keys: Sequence[SigningKey] | None = None,
    ) -> SignedHeader:  # fmt: skip
        """Return a header with the votes of the first `signers` (None: all); `keys` sign in their place."""
        parts = finality.parts_header(1, PARTS_HASH)
        block = finality.header_hash(fields)
        votes: list[Vote | None] = []
        for place, key in enumerate(keys or self._keys):
            message = finality.vote_message(chain, height, 1, block, parts, 1_000 + place)
            voted = signers is None or place < signers
            votes.append(Vote(1_000 + place, key.sign(message).hex()) if voted else None)
        texts = tuple(field.hex() for field in fields)
        return SignedHeader(height, texts, 1, 1, PARTS_HASH.hex(), self.members, tuple(votes))

    def finality(
        self, chain: str, height: int, time_ns: int, app_hash: bytes, *, previous: bytes = bytes(32),
        signers: int | None = None, changes: Sequence[SignedHeader] = (),
        keys: Sequence[SigningKey] | None = None,
    ) -> Finality:  # fmt: skip
        """Return the proof that a block of this height and time, which led from `previous` to this app hash,
        is final."""
        own = self.header(chain, height, time_ns, previous)
        after = self.header(chain, height + 1, time_ns + 1, app_hash, last=finality.header_hash(own))
        signed = self.sign(chain, height + 1, after, signers=signers, keys=keys)
        return Finality(tuple(changes), tuple(field.hex() for field in own), signed)

    def hand_over(self, chain: str, height: int, following: Validators) -> SignedHeader:
        """Return the header, voted for, that names the validators after it."""
        fields = self.header(chain, height, height, bytes(32), following=following)
        return self.sign(chain, height, fields)

    def keys(self) -> list[SigningKey]:
        return list(self._keys)
