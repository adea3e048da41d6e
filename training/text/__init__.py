"""Reports: cleaning, translation, tokenizer and the statements that they make."""
