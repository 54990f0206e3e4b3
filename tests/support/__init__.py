"""Support for several test files: drawn archives, tiny recipes and planted results."""
