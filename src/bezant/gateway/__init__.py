"""What a gateway does for those who ask: all of the ledger's primitives, as signed records.

REST, command line, file replay and the simulated economy all come through here, so what one of
them can do the others can.
"""
