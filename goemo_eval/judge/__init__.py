"""How records are judged: the gate, budgets, baselines, the recommendation."""
