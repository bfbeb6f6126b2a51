"""How results are told: tables, figures, assessment and error analysis, all from records alone."""
