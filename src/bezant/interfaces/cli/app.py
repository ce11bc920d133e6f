"""All commands together. Heavy libraries are imported inside the commands that need them."""

from __future__ import annotations

import typer

from bezant.interfaces.cli import (
    accounts,
    adversary,
    assets,
    audit,
    bench,
    bench_network,
    bench_restart,
    decisions,
    doctor,
    governance,
    holds,
    init,
    mandates,
    models,
    network,
    parties,
    pay,
    payments,
    receipts,
    refunds,
    replay,
    reviews,
    rules,
    run,
    store,
    validators,
    witness,
)
from bezant.interfaces.cli.output import Commands

app = typer.Typer(
    cls=Commands,
    help="A real-time payment network in one process: signed, screened, scored, settled, provable.\n\n"
    "Begin with 'bezant run --economy', or with 'bezant init' and 'bezant parties register'.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(init.init)
app.command()(run.run)
app.command()(pay.pay)
app.add_typer(payments.app, name="payments")
app.add_typer(parties.app, name="parties")
app.add_typer(accounts.app, name="accounts")
app.add_typer(holds.app, name="holds")
app.add_typer(refunds.app, name="refunds")
app.add_typer(mandates.app, name="mandates")
app.add_typer(assets.app, name="assets")
app.add_typer(reviews.app, name="reviews")
app.add_typer(decisions.app, name="decisions")
app.add_typer(rules.app, name="rules")
app.command()(receipts.receipt)
app.command()(receipts.verify)
app.command()(witness.checkpoint)
app.add_typer(witness.app, name="witness")
app.command()(audit.audit)
app.add_typer(models.app, name="models")
app.add_typer(network.app, name="network")
app.add_typer(validators.app, name="validators")
app.add_typer(governance.app, name="governance")
app.add_typer(store.app, name="store")
app.command()(doctor.doctor)
app.command()(replay.replay)
bench.app.command()(adversary.adversary)
bench.app.command()(bench_network.network)
bench.app.command()(bench_restart.restart)
app.add_typer(bench.app, name="bench")
