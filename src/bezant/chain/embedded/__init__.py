"""One node's own chain: a journal with group commit, recovery, and a seal by the node's key."""
