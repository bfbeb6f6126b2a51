"""What is fine-tuned: encoders, where their weights come from, recipes and training."""
