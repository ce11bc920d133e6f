"""The eight stages of the flow, one module each."""
