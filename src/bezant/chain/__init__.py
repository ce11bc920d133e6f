"""Order, make durable, prove: the Engine protocol and the engines behind it."""
