"""What gives a class away without the disease: borders, file facts, sources."""
