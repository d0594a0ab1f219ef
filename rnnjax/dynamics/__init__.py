"""Where trained networks come to rest, and how they move near there."""

from rnnjax.dynamics.search import FixedPoints, fixed_points, jacobians, visited_states

__all__ = ["FixedPoints", "fixed_points", "jacobians", "visited_states"]
