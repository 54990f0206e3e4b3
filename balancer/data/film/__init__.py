"""What is told of one film from its bytes: its hash, size, exposure, lettering, pose, print."""
