"""What can be trained: pretraining, label learning, fine-tuning and report generation."""
