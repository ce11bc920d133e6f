"""Networks on one machine: founded, started, watched over, and hurt on purpose."""
