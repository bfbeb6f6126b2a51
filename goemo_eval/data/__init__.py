"""What is to be predicted: labels, schemes and the splits they are applied to."""
