"""How a run goes: keys, the store, and the six steps from data to records."""
