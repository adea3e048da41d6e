"""From recordings as they come to the tensors that MERIT reads."""
