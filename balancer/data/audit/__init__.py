"""What is wrong, or suspicious, with the images before anything is trained on them."""
