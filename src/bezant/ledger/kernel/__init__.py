"""Compiled code of the ledger, integers only: words, tables, holds, checks, payments, commands, apply."""
