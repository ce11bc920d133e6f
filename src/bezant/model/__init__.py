"""The vocabulary: records, identifiers, checked integer money, outcomes, hashes. No I/O."""
