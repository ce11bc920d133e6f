"""What the tests of a node pay with, and ways to wait for it and to look through its folder."""

from __future__ import annotations

from pathlib import Path

from bezant.model.payment import Payload
from bezant.testing.nodes import SmallNode

TEXTS = Payload(
    end_to_end_id="E2E-Quercus-77",
    remittance_information="Rent for the Quercus lodge",
    debtor_name="Alice Arden",
    creditor_name="Bob Birch",
    debtor_account="QQ44QUERCUS0001",
)
"""From Alice to Bob, in words that stand nowhere else."""


def follow(small: SmallNode) -> None:
    """Wait until the read model knows every durable block."""
    assert small.node.follower is not None
    assert small.node.follower.wait_for(small.node.engine.durable_height, 20)


def plaintext_in(folder: Path, *, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return which of the personal texts stand readable in which file of a folder."""
    wanted = {text: (text.encode(), text.encode("utf-16-le")) for text in (
        "Alice Arden", "Bob Birch", "Quercus", "Rent for", "QQ44",
    )}  # fmt: skip
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in but:
            data = path.read_bytes().lower()
            texts = [text for text, forms in wanted.items() if any(form.lower() in data for form in forms)]
            if texts:
                found[path.name] = texts
    return found
