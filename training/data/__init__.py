"""Data sets: where they come from, how they are prepared, and their label tasks."""
