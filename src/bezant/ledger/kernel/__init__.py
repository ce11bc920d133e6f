"""Compiled code of the ledger, integers only; `apply` is the flow of a block.

Below it `effects` (one record) and `chains` (several, all or none); then `checks` and `identities`, what
comes before any effect; `payments`, `closing`, `mandates`, `commands`, `authorities` and `learning`, the
effects, with `parties` for who may do what. `holds`, `tables` and `words` are what they stand on, `books`
reads.
"""
