"""What is kept of a measurement and how it is judged: records, the store, the gate."""
