"""How close generated images come to real ones, each figure a named recipe."""
