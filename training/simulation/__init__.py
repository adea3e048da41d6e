"""Simulated twelve-lead ECGs with known physiology, their reports, and a data set of them in the layout of PTB-XL."""
