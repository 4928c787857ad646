"""What a release holds and what speaks against it: audit, diff, explain, report."""
