"""What can be trained: pretraining, learned labels, fine-tuning and report generation."""
