"""Rules: what this node asks for beside the model, and reading them again."""

from __future__ import annotations

from typing import Literal

from litestar import get, post

from bezant.intelligence.rulebook import Rulebook
from bezant.interfaces.rest.services import AnyRequest, Given, in_thread, read_body
from bezant.interfaces.rest.shapes import EmptyRequest, Out


class RuleView(Out, frozen=True):
    name: str
    verdict: Literal["review", "block"]
    when: tuple[str, ...]
    """All of these have to hold."""
    reason: str


class RulebookView(Out, frozen=True):
    """The rules that are asked now; decisions record their digest."""

    digest: str
    rules: tuple[RuleView, ...]


@get("/rules")
async def list_rules(services: Given) -> RulebookView:
    """List the configured rules that are asked now, in their order."""
    return _view(services.node.resources.rulebook)


@post("/rules/reload", opt={"body": EmptyRequest}, status_code=200)
async def reload_rules(request: AnyRequest, services: Given) -> RulebookView:
    """Read the rules and their lists again; the next payments are asked about by them.

    Where one cannot be read the old ones stay, and the answer names it.
    """
    await read_body(request, EmptyRequest)
    return _view(await in_thread(services.node.reload_rules))


def _view(book: Rulebook) -> RulebookView:
    rules = tuple(RuleView(rule.name, rule.verdict, rule.when, rule.reason) for rule in book.rules)
    return RulebookView(book.name.hex(), rules)


ROUTES = [list_rules, reload_rules]
