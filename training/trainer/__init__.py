"""What every training shares: recipe, Trainer, checkpoints, processes, hardware and the training record."""
