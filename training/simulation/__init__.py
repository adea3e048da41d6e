"""Simulated twelve-lead ECGs with known physiology, their reports, and a PTB-XL tree of them."""
