"""Order, make durable, prove: the Engine protocol, and the embedded engine behind it."""
