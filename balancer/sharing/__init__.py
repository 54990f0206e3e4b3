"""What leaves a workspace: models for other programs, each with its card."""
