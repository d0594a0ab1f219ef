"""What the library should compute, written slowly and plainly in NumPy."""
