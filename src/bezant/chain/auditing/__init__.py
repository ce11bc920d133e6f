"""Everything recomputed from the journal, and compared with what lies in the folder. See `audit`."""
