"""Data sets, simulator, pretraining and evaluation."""
