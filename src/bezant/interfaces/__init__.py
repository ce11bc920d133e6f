"""Every way in, thin: HTTP, command line, message and card files, replays, the simulated economy."""
