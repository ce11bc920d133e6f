"""The model files of a data folder, each under the digest that names it."""

from __future__ import annotations

from pathlib import Path

from bezant.errors import InputError, ModelError, NotFound
from bezant.intelligence.model import Model

SUFFIX = ".model"
LEAST_PREFIX = 8
"""Hexadecimal digits that may stand for a whole digest, where only one begins with them."""


class Shelf:
    """Files ``<digest>.model``, and the one that the next start puts in use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def waiting(self) -> Path:
        """Where a model lies that the next start registers and promotes, and then keeps by its digest."""
        return self._folder / f"current{SUFFIX}"

    @property
    def is_empty(self) -> bool:
        """Whether there is no model file at all."""
        return not any(self._folder.glob(f"*{SUFFIX}"))

    def path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}{SUFFIX}"

    def digests(self) -> list[bytes]:
        """Return the digests that files are named by, in order; nothing is said of what is in them."""
        names = sorted(path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"*{SUFFIX}"))
        return [bytes.fromhex(name) for name in names if is_digest(name)]

    def load(self, digest: bytes) -> Model:
        """Return the model of a digest. Raises: ModelError if its file is missing, altered or another's."""
        model = Model.load(self.path(digest))
        if model.digest != digest:
            raise ModelError(
                f"{self.path(digest)} holds model {model.digest.hex()[:12]}; restore the right file",
                code="model_altered",
            )
        return model

    def find(self, name: bytes) -> Model:
        """Return the model that a decision names by its first 16 bytes. Raises: ModelError."""
        for digest in self.digests():
            if digest[: len(name)] == name:
                return self.load(digest)
        raise ModelError(
            f"no file of model {name.hex()} is in {self._folder}; put it there", code="model_missing"
        )

    def add(self, file: Path) -> Model:
        """Take a copy of a model file. Raises: ModelError where it is not whole and of use here."""
        model = Model.load(file)
        if not self.path(model.digest).exists():
            model.save(self.path(model.digest))
        return model


def is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def resolve(text: str, known: list[bytes]) -> bytes:
    """Return the digest that a text is, or the only known one that begins with it.

    Raises: InputError ``model_digest_invalid``; NotFound ``model_unknown``; InputError ``model_ambiguous``.
    """
    if is_digest(text):
        return bytes.fromhex(text)
    if not LEAST_PREFIX <= len(text) < 64 or any(c not in "0123456789abcdef" for c in text):
        raise InputError(
            f"{text[:64]!r} names no model: write 64 hexadecimal digits, or the first {LEAST_PREFIX} of them",
            code="model_digest_invalid",
            param="digest",
        )
    found = {digest for digest in known if digest.hex().startswith(text)}
    if not found:
        raise NotFound(f"no model begins with {text}", code="model_unknown", param="digest")
    if len(found) > 1:
        raise InputError(f"several models begin with {text}", code="model_ambiguous", param="digest")
    return found.pop()
