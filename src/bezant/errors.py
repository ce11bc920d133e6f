"""The exception tree, and nothing else.

::

    BezantError                 an operating error: what happened, to what, what to do
    ├── ConfigError             a setting or file that cannot be used
    ├── InputError              what a caller sent cannot be read or is not allowed
    │   ├── DecodeError         bytes, JSON, XML or Parquet that do not parse
    │   └── AmountError         negative, over-precise or too large amounts
    ├── AuthError               a missing or wrong credential on a channel
    ├── ConflictError           the same key with other content, or still in flight
    ├── NotFound                a thing that was asked for and is not there
    ├── Overloaded              shed by admission; nothing was accepted
    ├── UnknownOutcome          it may or may not have happened; query before retrying
    ├── StorageError            the disk refused: full, read-only, locked by another node
    │   └── JournalDamaged      the journal cannot be trusted past a named place
    ├── VaultError              sealed data that cannot be opened (erased, altered)
    ├── ModelError              a model file that is missing, altered or unsuitable
    └── ProofError              a receipt or proof that does not verify
    InvariantViolation          a broken promise of our own: the node stops

Three kinds are never mixed. A *business outcome* (insufficient funds, expired) is a
returned `Outcome`; an *operating error* is an exception from the tree above; a *broken
invariant* is `InvariantViolation`, which no code recovers from: whoever meets one takes no more
payments.
"""

from __future__ import annotations


class BezantError(Exception):
    """Base of all operating errors.

    `code` is stable and lower_snake_case; `param` names the offending field if there is
    one; `retryable` says whether the very same request may succeed later.
    """

    code = "error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class ConfigError(BezantError):
    code = "config_invalid"


class InputError(BezantError):
    code = "input_invalid"


class DecodeError(InputError):
    code = "malformed"


class AmountError(InputError):
    code = "amount_invalid"


class AuthError(BezantError):
    code = "unauthenticated"


class ConflictError(BezantError):
    code = "conflict"


class NotFound(BezantError):
    code = "not_found"


class Overloaded(BezantError):
    """`retry_after_s` is after how many seconds it is worth to ask again."""

    code = "overloaded"
    retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class UnknownOutcome(BezantError):
    code = "outcome_unknown"


class StorageError(BezantError):
    code = "storage_failed"


class JournalDamaged(StorageError):
    code = "journal_damaged"


class VaultError(BezantError):
    code = "vault_unreadable"


class ModelError(BezantError):
    code = "model_unusable"


class ProofError(BezantError):
    code = "proof_invalid"


class InvariantViolation(RuntimeError):
    """A promise of this code was broken; state can no longer be trusted and the node stops."""
