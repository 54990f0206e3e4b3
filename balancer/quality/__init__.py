"""The quality of synthetic images beside real ones, each figure with its recipe."""
