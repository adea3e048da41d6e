"""What others receive: the exported folder."""
