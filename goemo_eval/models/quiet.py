"""Quiet loading: transformers' progress bars and notices belong to no result of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' log lines and loading bars within the block, then restore them.

    The notice that a classification head is newly initialised is what fine-tuning starts from,
    and a bar per loaded tensor is no progress that a user waits for.
    """
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
