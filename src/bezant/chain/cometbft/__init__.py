"""The network's engine: CometBFT orders and agrees, this package applies. See `application`."""
