"""How a classifier is measured: scores, thresholds, latency, memory, and the machine they hold for."""
