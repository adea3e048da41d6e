"""The sources of recordings, one module per kind of data set."""
