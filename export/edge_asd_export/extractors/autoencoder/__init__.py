"""The challenge's baseline: an autoencoder of log-mel frames, one for each machine."""
