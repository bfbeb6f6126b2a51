"""What runs the forward pass: one interface, an engine per runtime, and the checkpoint they load."""
