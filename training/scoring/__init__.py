"""Encoders behind one interface, their embeddings, and how scores are measured."""
