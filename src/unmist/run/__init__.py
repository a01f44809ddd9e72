"""A run on the disk: recipe, checkpoints, weights, pictures with their settings, the model."""
