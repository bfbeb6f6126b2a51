"""``python -m goemo_eval``."""

from goemo_eval.cli.app import entry

entry()
