"""Data sets, simulation, training and evaluation."""
