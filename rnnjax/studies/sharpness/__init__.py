"""Sharpness: curvature before training against the largest rate at which training is stable."""
