"""Networks with weights divided by their width, and Adam's epsilon."""
