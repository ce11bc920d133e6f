"""Compiled code of the columnar ledger, integers only: words, tables, holds, commands, payments, apply."""
