"""The fraud model: a file that proves it is whole, and scores that can be repeated bit for bit.

A model file is text, in four parts::

    bezant-model 1
    {the model card, one line of JSON}
    the trees, as LightGBM writes and reads them
    sha256 <hexadecimal digest of everything above>

The digest names the model: decisions record its first 16 bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bezant.errors import ModelError
from bezant.intelligence.costs import CostReport
from bezant.intelligence.features import FEATURES, FloatMatrix
from bezant.intelligence.forest import Forest, Share, alone, parse_forest
from bezant.intelligence.reference import Reference

_MAGIC = b"bezant-model 1\n"
_SEAL = b"sha256 "


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quality on the newest part of the history, which neither trees nor calibration have seen.

    `area_under_roc` and `average_precision` of the scores; `review_share` and `block_share` of
    payments at the suggested thresholds; `recall` of fraud at or above review; precisions of
    each; `expected_frauds` is the sum of probabilities, to hold against `frauds`. Values that
    cannot be computed (one class only, nothing flagged) are null.
    """

    payments: int
    frauds: int
    expected_frauds: float
    area_under_roc: float | None
    average_precision: float | None
    review_share: float
    block_share: float
    recall: float | None
    review_precision: float | None
    block_precision: float | None


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person or a program must know before using a model. Times in nanoseconds since 1970.

    What has a default is left out of the file where it has that, so that older files keep their digests.
    """

    source: str
    seed: int
    features: tuple[str, ...]
    trees: int
    leaves: int
    trained_from_ns: int
    trained_to_ns: int
    validated_to_ns: int
    tested_to_ns: int
    payments_trained: int
    frauds_trained: int
    payments_validated: int
    frauds_validated: int
    slope: float
    intercept: float
    """Calibration: probability = 1 / (1 + exp(-(slope * margin + intercept)))."""
    review_ppm: int
    block_ppm: int
    """Suggested thresholds; a score at or above one triggers it; 1,000,001 is never."""
    metrics: Metrics
    library: str
    """The library and version that grew the trees."""
    reference: Reference | None = None
    """What inputs and scores were like in training and validation, to find drift by."""
    costs: CostReport | None = None
    """What decisions cost on the newest part of the history, at these thresholds and at those by cost."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model; safe to use from many threads at once."""

    card: ModelCard
    trees: str
    digest: bytes
    """SHA-256 of the file's content, 32 bytes."""
    forest: Forest

    @classmethod
    def build(cls, card: ModelCard, trees: str) -> Model:
        """Return the model of a card and a LightGBM text; raises ModelError if the text is unsuitable."""
        forest = parse_forest(trees, len(card.features))
        return cls(card, trees, hashlib.sha256(_content(card, trees)).digest(), forest)

    @classmethod
    def load(cls, path: Path | str, features: tuple[str, ...] = FEATURES) -> Model:
        """Return the model in a file.

        Raises: ModelError if it is missing, altered, or was trained on other features than these.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ModelError(
                f"no model can be read at {path} ({error.strerror}); train one, or correct the path",
                code="model_missing",
            ) from error
        content, seal, stated = data.rpartition(b"\n" + _SEAL)
        content += b"\n"
        if not data.startswith(_MAGIC) or not seal:
            raise ModelError(
                f"{path} is not a model file; train one, or correct the path", code="model_format"
            )
        if stated.strip() != hashlib.sha256(content).hexdigest().encode():
            raise ModelError(
                f"{path} was altered or cut short: its content does not match its digest; "
                "restore the file from where it was trained, or train a new model",
                code="model_altered",
            )
        head, _, trees = content[len(_MAGIC) :].partition(b"\n")
        try:
            card = msgspec.json.decode(head, type=ModelCard)
        except msgspec.DecodeError as error:
            raise ModelError(
                f"the model card in {path} cannot be read: {error}", code="model_format"
            ) from error
        if card.features != features:
            raise ModelError(
                f"{path} was trained on {len(card.features)} features that differ from the "
                f"{len(features)} computed here; train a new model with this version",
                code="model_features",
            )
        try:
            return cls.build(card, trees.decode())
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(
                f"the trees in {path} cannot be read ({error!r}); train a new model", code="model_format"
            ) from error

    def save(self, path: Path | str) -> None:
        """Write the model file beside its place and move it there, so that no reader sees half of one."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = _content(self.card, self.trees)
        draft = target.with_name(target.name + ".new")
        draft.write_bytes(content + _SEAL + self.digest.hex().encode() + b"\n")
        draft.replace(target)

    @property
    def name(self) -> bytes:
        """The 16 bytes by which decisions name this model."""
        return self.digest[:16]

    def score(self, x: FloatMatrix) -> npt.NDArray[np.uint32]:
        """Return (n,) probabilities of fraud in parts per million for features x (n, F) float32.

        The same row gives the same score in any batch, on any thread. Raises: ModelError for another shape.
        """
        return self.examine(x)[1]

    def examine(
        self, x: FloatMatrix, share: Share = alone
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Return (n,) margins (log odds before calibration) and (n,) scores; see `score`.

        `share` may have other threads walk some of the rows.
        """
        if x.ndim != 2 or x.shape[1] != len(self.card.features):
            raise ModelError(f"features of shape {x.shape} do not suit a model of {len(self.card.features)}")
        ready = np.ascontiguousarray(x, np.float32)
        return self.forest.score(ready, self.card.slope, self.card.intercept, share)


def _content(card: ModelCard, trees: str) -> bytes:
    return _MAGIC + msgspec.json.encode(card) + b"\n" + trees.strip("\n").encode() + b"\n"
