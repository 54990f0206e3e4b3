"""One module per command; stages hand over files, not objects."""
