"""Export of models for other programs, each with its card."""
