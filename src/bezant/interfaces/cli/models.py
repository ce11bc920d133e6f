"""``bezant models``: train the model that scores payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, progress_bar, show

if TYPE_CHECKING:
    from bezant.intelligence.model import Model

app = typer.Typer(help="Train the model that scores payments, and look at it.", no_args_is_help=True)


@app.command()
def train(
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 1_007,
    payments: Annotated[int, typer.Option(help="How much of a simulated world to learn from.")] = 200_000,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train a model on a simulated world and put it in use at the next start.

    \b
    bezant models train --payments 100000
    """
    from bezant.economy.training import train_on_economy
    from bezant.errors import ConfigError
    from bezant.folder import is_data_folder

    if not is_data_folder(data):
        raise ConfigError(f"{data} is not a data folder; make one with bezant init", code="not_initialised")
    path = data / "models" / "current.model"
    with progress_bar() as bar:
        tasks: dict[str, Any] = {}

        def note(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=1.0)
            bar.update(tasks[step], completed=share)

        model = train_on_economy(seed, payments, path, note)
    show({"model": model.name.hex(), "file": str(path), **_card(model)}, as_json)


@app.command("show")
def show_model(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show the card of the model in use: where it comes from and how good it was."""
    from bezant.intelligence.model import Model as Loaded

    model = Loaded.load(data / "models" / "current.model")
    show({"model": model.name.hex(), **_card(model)}, as_json)


def _card(model: Model) -> dict[str, object]:
    import msgspec

    card = msgspec.to_builtins(model.card)
    metrics = card.pop("metrics")
    card.pop("features")
    return {**card, **{f"test_{name}": value for name, value in metrics.items()}}
