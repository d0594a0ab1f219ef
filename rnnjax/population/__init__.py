"""Populations: networks of one condition that differ only in their seeds."""

from rnnjax.population.members import Activity, Population
from rnnjax.population.train import load_population, train_population

__all__ = ["Activity", "Population", "load_population", "train_population"]
