"""Checkpoints: the node's signed history, proofs that it only grew, and what witnesses co-signed."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import QueryParameter

from bezant.chain.checkpoints import Note
from bezant.chain.witness import Bundle
from bezant.interfaces.rest.services import AnyRequest, Given, in_thread, read_body
from bezant.interfaces.rest.shapes import CheckpointView, CosignatureRequest


@get("/checkpoint")
async def get_checkpoint(
    services: Given,
    since: Annotated[
        int, QueryParameter(ge=0, description="Blocks of the checkpoint that is held; 0 for none")
    ] = 0,
) -> Bundle:
    """Return a checkpoint of all that is durable, and the proof that it goes on from an earlier one."""
    return await in_thread(services.node.notary.bundle, since)


@get("/checkpoint/cosigned")
async def get_cosigned_checkpoint(services: Given) -> CheckpointView | None:
    """Return the newest checkpoint that witnesses co-signed, null before the first."""
    note = await in_thread(lambda: services.node.notary.latest)
    return None if note is None else _view(note)


@post("/checkpoint/cosignatures", opt={"body": CosignatureRequest}, status_code=200)
async def post_cosignature(request: AnyRequest, services: Given) -> CheckpointView:
    """Take in a note with the signature of a witness that the node's settings name."""
    body = await read_body(request, CosignatureRequest)
    return _view(await in_thread(services.node.notary.accept, body.note.encode()))


def _view(note: Note) -> CheckpointView:
    return CheckpointView(
        blocks=note.checkpoint.height,
        note=note.render().decode(),
        signed_by=tuple(one.name for one in note.signatures),
    )


ROUTES = [get_checkpoint, get_cosigned_checkpoint, post_cosignature]
