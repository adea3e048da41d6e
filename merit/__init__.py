"""MERIT: an ECG-text foundation model."""
