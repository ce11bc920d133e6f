"""The deterministic state machine, the only code that moves money.

`reference` is the specification in plain Python; `columnar` is what runs. Both answer the
same batches with the same bytes.
"""
