"""``python -m goemo_eval``."""

from goemo_eval.cli import entry

entry()
