"""What every engine keeps: the journal, all that follows from it, and the ledger. See `chain`."""
