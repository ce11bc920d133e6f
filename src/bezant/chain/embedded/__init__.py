"""The engine of one node that orders by itself: its clock, and the thread that commits in groups."""
