"""Learning-rate collapse: the largest trainable learning rate against network size."""
