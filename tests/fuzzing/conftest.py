"""How long the fuzzing goes on: seconds in the suite, about an hour with ``--hypothesis-profile=soak``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from bezant.testing.mutations import SUITE_EXAMPLES

settings.register_profile("soak", max_examples=200 * SUITE_EXAMPLES, suppress_health_check=list(HealthCheck))
