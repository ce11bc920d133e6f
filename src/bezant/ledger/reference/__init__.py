"""The ledger as a specification: plain Python, written to be read.

`ledger` is the flow of a block, `checks` what comes before any effect, `payments`, `holds`,
`mandates`, `accounts`, `authorities`, `learning`, `stake` and `governance` the effects, `parties` who may do
what. Every function that moves money has two headings: CHECK (everything that can fail, sums included), then
POST (which cannot fail); its answer becomes the receipt. Checks stand in the order of outcome precedence.
`columnar` runs in production and must answer with the same bytes.
"""

from bezant.ledger.reference.ledger import ReferenceLedger

__all__ = ["ReferenceLedger"]
