"""The pipeline: batches of payments through named stages, each timed, each with a fallback."""
