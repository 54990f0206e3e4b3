"""`balancer doctor`: what this machine has, what it lacks, and what mends it."""
