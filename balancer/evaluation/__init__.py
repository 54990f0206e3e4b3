"""Train one classifier, choose its threshold, note the read of the test images, and test it."""
