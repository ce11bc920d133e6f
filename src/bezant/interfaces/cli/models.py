"""``bezant models``: train models that score payments, and say which one decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bezant.interfaces.cli.columns import Column, Scale, mapping_of
from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, progress_bar, show

if TYPE_CHECKING:
    from bezant.intelligence.model import Model

app = typer.Typer(
    help="Train models that score payments, and say which one decides. Every change is an ordered command.",
    no_args_is_help=True,
)
_Digest = Annotated[
    str, typer.Argument(help="The model's digest, or how it begins, as 'models list' shows it.")
]
_COLUMNS = ("digest", "role", "since", "in_use", "average_precision", "source", "problem")


@app.command()
def train(
    source: Annotated[
        str,
        typer.Option("--from", help="'economy', simulated; 'history', the node's own journal; or a file."),
    ] = "economy",
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 1_007,
    payments: Annotated[int, typer.Option(help="How much of a simulated world to learn from.")] = 200_000,
    mapping: Annotated[
        str, typer.Option(help="A file's columns, as for bezant replay.  \\[default: found by their names]")
    ] = "",
    delay_days: Annotated[
        float,
        typer.Option(min=0.0, help="Days until fraud is reported: a journal's last ones teach nothing."),
    ] = 7.0,
    time: Column = "",
    debtor: Column = "",
    creditor: Column = "",
    amount: Column = "",
    id: Column = "",
    label: Column = "",
    amount_unit: Column = "",
    scale: Scale = None,
    time_unit: Column = "",
    epoch: Column = "",
    save: Annotated[
        Path | None,
        typer.Option(
            help="Model file to write.  \\[default: in the data folder, used from its next start on]"
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train a model, and show its card: where it comes from, and how good it is on payments it never saw.

    The oldest 60 % of payments grow the trees, the next 20 % calibrate them and set thresholds, the newest
    20 % are only measured. From a journal it learns from what was labelled, with every label known from when
    it was given; its node must be stopped, or be a copy. A file needs a column of labels. Where bezant.toml
    names costs, the card says what decisions cost at its thresholds and at those that follow cost.

    \b
    bezant models train --payments 100000
    bezant models train --from history
    bezant models train --from handbook_transactions.parquet --save cards.model
    bezant models train --from own.csv --time at --debtor card --creditor shop --amount eur --label fraud
    """
    from bezant.config import load_config
    from bezant.errors import ConfigError
    from bezant.folder import is_data_folder
    from bezant.intelligence.costs import read_costs
    from bezant.intelligence.shelf import Shelf
    from bezant.interfaces.learning import learn

    if (save is None or source == "history") and not is_data_folder(data):
        raise ConfigError(f"{data} is not a data folder; make one with bezant init", code="not_initialised")
    path = save or Shelf(data / "models").waiting
    with progress_bar() as bar:
        tasks: dict[str, Any] = {}

        def note(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=1.0)
            bar.update(tasks[step], completed=share)

        model = learn(
            source,
            seed,
            note,
            folder=data,
            payments=payments,
            mapping=mapping_of(
                mapping,
                scale,
                time=time,
                debtor=debtor,
                creditor=creditor,
                amount=amount,
                id=id,
                label=label,
                amount_unit=amount_unit,
                time_unit=time_unit,
                epoch=epoch,
            ),
            delay_days=delay_days,
            costs=read_costs(load_config(data).costs),
        )
    model.save(path)
    show({"model": model.name.hex(), "file": str(path), **_card(model)}, as_json)


@app.command("list")
def list_models(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List the models that have a role, the champion first."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        _show(client.get("/v1/models"), as_json)


@app.command()
def history(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List every role that a model was given, oldest first, with block and time: who decided since when."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/models/history")
    show(answer, as_json, "block", "at", "digest", "role", rows=answer["changes"])


@app.command()
def register(
    file: Annotated[Path, typer.Argument(help="A model file.", exists=True, dir_okay=False)],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Check a model file, copy it into the data folder, and register it.

    \b
    bezant models register candidate.model
    bezant models challenge 3f9a01bc
    bezant models promote 3f9a01bc
    """
    from bezant.errors import ConfigError
    from bezant.folder import is_data_folder
    from bezant.intelligence.shelf import Shelf

    if not is_data_folder(data):
        raise ConfigError(f"{data} is not a data folder; make one with bezant init", code="not_initialised")
    model = Shelf(data / "models").add(file)
    _set_role(data, model.digest.hex(), "registered", as_json)


@app.command()
def promote(digest: _Digest, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let a registered model decide from now on, without a restart; the champion before it is registered."""
    _set_role(data, digest, "champion", as_json)


@app.command()
def challenge(digest: _Digest, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let a registered model score beside the champion; nothing is decided by it."""
    _set_role(data, digest, "challenger", as_json)


@app.command()
def compare(
    budget: Annotated[
        float, typer.Option(min=0.0001, max=1.0, help="Share of payments that each may alert on.")
    ] = 0.005,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Compare challenger and champion: what each catches of known fraud with the same number of alerts.

    Both scored the same live payments; intervals (95 %) are of a paired bootstrap over the labelled ones.

    \b
    bezant models compare --budget 0.01
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/models/comparison", budget=budget)
    rows = [
        {
            "": name,
            "digest": answer[name]["digest"][:16],
            "alerts from": f"{answer[name]['threshold']:.4f}",
            "recall": _interval(answer[name]["recall"]),
            "precision": _interval(answer[name]["precision"]),
        }
        for name in ("champion", "challenger")
    ]
    rows.append(
        {
            "": "difference",
            "recall": _interval(answer["recall_difference"]),
            "precision": _interval(answer["precision_difference"]),
        }
    )
    show(answer, as_json, "", "digest", "alerts from", "recall", "precision", rows=rows)
    if not as_json:
        print(
            f"{answer['payments']:,} payments scored by both, {answer['labelled']:,} of them labelled, "
            f"{answer['frauds']:,} fraud; each alerts on {answer['budget']:.2%} of payments"
        )


@app.command()
def drift(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show what drifted since the node was started: inputs, scores, labels, and the latency of stages.

    Inputs and scores are held against the champion's training by the population stability index; from 0.25 on
    it is another population.
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/models/drift")
    events = answer["events"]
    show(answer, as_json, "at", "type", "subject", "measure", "before", "after", rows=events)
    if not as_json:
        largest = sorted(answer["indices"].items(), key=lambda one: -one[1])[:5]
        known = ", ".join(f"{name} {index:g}" for name, index in largest)
        print(
            f"largest indices: {known}"
            if known
            else "no index yet: it takes 2,000 payments that a model scored"
        )


@app.command()
def retire(digest: _Digest, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Take a model's role away. Where it was the champion, rules decide until one is promoted."""
    _set_role(data, digest, "retired", as_json)


@app.command()
def rollback(key: Key = "", data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Make the champion before this one champion again, without a restart."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        _show(client.post("/v1/models/rollback", key=key or None), as_json)


@app.command("show")
def show_model(
    digest: Annotated[str, typer.Argument(help="How its digest begins.  \\[default: the champion]")] = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show the card of a model: where it comes from and how good it was."""
    from bezant.errors import NotFound
    from bezant.intelligence.shelf import Shelf
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        known = client.get("/v1/models")["models"]
    chosen = [one["digest"] for one in known if one["digest"].startswith(digest)]
    if not chosen or (not digest and known[0]["role"] != "champion"):
        raise NotFound("there is no such model; bezant models list shows them", code="model_unknown")
    model = Shelf(data / "models").load(bytes.fromhex(chosen[0]))
    show({"model": model.name.hex(), **_card(model)}, as_json)


def _interval(interval: dict[str, float]) -> str:
    if interval.get("value") is None:
        return "not known yet"
    bounds = f" ({interval['low']:.3f} to {interval['high']:.3f})" if interval.get("low") is not None else ""
    return f"{interval['value']:.3f}{bounds}"


def _set_role(data: Path, digest: str, role: str, as_json: bool) -> None:
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        _show(client.post(f"/v1/models/{digest}/role", {"role": role}), as_json)


def _show(answer: Any, as_json: bool) -> None:
    rows = [{**one, "digest": one["digest"][:16]} for one in answer["models"]]
    show(answer, as_json, *_COLUMNS, rows=rows)


def _card(model: Model) -> dict[str, object]:
    import msgspec

    card = msgspec.to_builtins(model.card)
    metrics = card.pop("metrics")
    card.pop("features")
    card.pop("reference", None)
    return {**card, **{f"test_{name}": value for name, value in metrics.items()}}
