"""Solution degeneracy: task complexity, feature learning, network size, regularization."""
