"""From rows of a data set to a batch: collator, augmentation and report text."""
