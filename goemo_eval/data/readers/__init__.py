"""Files as tables: a module for each form, and the one that tells the form of a file."""
