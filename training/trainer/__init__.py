"""Shared by all training: recipes, the Trainer, checkpoints, distributed processes, hardware, the training record."""
