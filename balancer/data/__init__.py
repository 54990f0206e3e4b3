"""From a folder of radiographs to a leak-free index and a pixel cache."""
