"""Plots, colours, numbers and words that several rooms show."""
