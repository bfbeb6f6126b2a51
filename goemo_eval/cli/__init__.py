"""The command line: ``goemo-eval``, a module per group of commands."""
