"""The chain under a simulated disk, clock and scheduler: one seed decides everything that happens.

`disk`, `time` and `schedule` stand in for the machine; `kinds` and `workload` say what people ask for,
`hostile` what nobody should; `run` plays one seed and `checks` judges it. What runs in between is the
code of production, unchanged. ``python -m bezant.testing.simulator --seed 7`` replays a seed.
"""
