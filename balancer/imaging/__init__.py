"""What is done to a film before it becomes a square: pure functions of grey values."""
