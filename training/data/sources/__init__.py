"""One source for each data set: from its published files to records."""
