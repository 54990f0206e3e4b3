"""Reading of all files once, in threads, in processes or on Spark, with equal results."""
