"""Fixed points of trained networks, and the dynamics near them."""

from rnnjax.dynamics.search import FixedPoints, fixed_points, jacobians, visited_states

__all__ = ["FixedPoints", "fixed_points", "jacobians", "visited_states"]
