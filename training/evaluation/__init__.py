"""What is measured of a model, one file per method."""
