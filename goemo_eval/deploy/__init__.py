"""What is taken home: a bundle of files, its model card, and predictions. Neither torch nor transformers."""
