"""What another torch does to one checkpoint: scores, decisions, logits, sizes, times and the tests.

Every interpreter that is given, each with its own torch, scores the same cells by the library's own run,
in processes of its own; what it found is paired with what the first one found, text by text. See
``python -m bench.torch_versions --help``.
"""
