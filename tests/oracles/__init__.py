"""Slow and simple references in NumPy."""
