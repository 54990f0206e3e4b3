"""Search for copies of a film under other names, and groups that stay in one split."""
