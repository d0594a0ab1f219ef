"""Memory demand of a task."""
