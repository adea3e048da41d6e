"""Configuration and models; these files travel to the Hub."""
