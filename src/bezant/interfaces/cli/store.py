"""``bezant store``: the SQL read model."""

from __future__ import annotations

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, progress_bar, show

app = typer.Typer(help="The SQL read model, which can always be made again.", no_args_is_help=True)


@app.callback()
def store() -> None:
    """The SQL read model, which can always be made again."""


@app.command()
def rebuild(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Empty the read model and project every block again, from journal and vault.

    The node must be stopped. Webhooks are not told again what they were told.

    \b
    bezant store rebuild
    """
    from bezant.node import Node

    with Node(data, with_store=False) as node, progress_bar() as bar:
        task = bar.add_task("project", total=max(node.engine.durable_height, 1))
        height = node.rebuild_store(lambda doing, done: bar.update(task, completed=done))
    show({"height": height}, as_json)
