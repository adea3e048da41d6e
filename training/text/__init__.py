"""Report text: cleaning, translation, tokenizers, and reading the statements of a report."""
