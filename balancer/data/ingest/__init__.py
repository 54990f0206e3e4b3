"""Every file read once: in threads, in processes or on Spark, with the same result."""
