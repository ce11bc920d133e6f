"""A receipt proves which model decided, and what its evidence is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bezant.chain.readings import decided
from bezant.chain.receipts import render_receipt, verify_receipt
from bezant.errors import ProofError
from bezant.intelligence.evidence import EVIDENCE
from bezant.interfaces.cli.app import app
from bezant.model.digest import TAG_EVIDENCE, sha256
from bezant.model.identifiers import PaymentId
from bezant.testing.nodes import SmallNode


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path_factory.mktemp("decisions") / "node", model=model_file) as town:
        yield town


@pytest.fixture(scope="module")
def paid(town: SmallNode) -> PaymentId:
    town.tick()
    return town.pay("3.00")[0]


def test_a_receipt_binds_model_and_evidence(town: SmallNode, paid: PaymentId) -> None:
    receipt = verify_receipt(render_receipt(town.node.payments.receipt(paid, open_decision=True)))
    made, model, evidence = decided(receipt), town.node.model, town.node.payments.evidence(paid)
    assert made is not None
    assert model is not None
    assert made.model == model.name.hex()
    assert (made.verdict, made.score_ppm) == ("allow", int(evidence["score_ppm"]))
    assert evidence.dtype == EVIDENCE
    assert made.evidence == sha256(TAG_EVIDENCE, evidence.tobytes()).hex()
    forged = msgspec.structs.replace(receipt, decision=receipt.decision.replace(made.model, "ab" * 16))
    with pytest.raises(ProofError, match="not the one committed to"):
        verify_receipt(render_receipt(forged))


def test_an_explanation_adds_up_to_the_score_that_was_recorded(town: SmallNode, paid: PaymentId) -> None:
    told, model = town.node.payments.explain(paid, town.node.models.named), town.node.model
    assert model is not None
    x = town.node.payments.evidence(paid)["x"].reshape(1, -1)
    assert told.margin == pytest.approx(float(model.examine(x)[0][0]), abs=1e-9)
    assert next(idea.text for idea in told.ideas if idea.name == "amount").startswith("EUR 3.00; ")


def test_verify_accepts_the_model_that_decided_and_no_other(
    town: SmallNode, paid: PaymentId, tmp_path: Path
) -> None:
    shown, closed = tmp_path / "shown.json", tmp_path / "closed.json"
    shown.write_bytes(render_receipt(town.node.payments.receipt(paid, open_decision=True)))
    closed.write_bytes(render_receipt(town.node.payments.receipt(paid)))
    model = town.node.model
    assert model is not None
    digest = model.digest.hex()

    def verify(file: Path, name: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["verify", str(file), "--model", name, "--json"])
        return result.exit_code, result.output + str(result.exception or "")

    for name in (digest, digest[:32], digest[:8], digest[:8].upper()):
        code, output = verify(shown, name)
        assert code == 0
        assert json.loads(output)["decided_by"]["model"] == digest[:32]
    for name, why in (("ab" * 32, "decided, not abab"), ("rules", "decided, not rules"), (digest[:7], "8 ")):
        code, output = verify(shown, name)
        assert code == 1
        assert why in output.replace("\n", " ")
    code, output = verify(closed, digest)
    assert code == 1
    assert "--open decision" in output.replace("\n", " ")
