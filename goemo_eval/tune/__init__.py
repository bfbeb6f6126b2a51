"""The search for a recipe: a space of recipes, a study of trials, and what came of it."""
