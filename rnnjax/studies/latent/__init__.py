"""Training low-rank networks in their latent variables."""
