"""What several test files share: drawn archives, tiny recipes and planted results."""
