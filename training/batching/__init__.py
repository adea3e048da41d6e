"""From rows of a data set to a batch: collator, augmentation and the text of each recording."""
