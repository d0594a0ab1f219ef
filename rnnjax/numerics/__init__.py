"""Numerical algorithms shared by the other packages."""
