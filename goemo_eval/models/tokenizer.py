"""A directory's tokenizer, refused where it is not the one that the model was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goemo_eval.errors import CheckpointError
from goemo_eval.models.directory import read_config
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.said import said
from goemo_eval.models.static import STATIC, register_static

_ROWS_PER_TOKEN = 10


def load_tokenizer_files(path: Path) -> Any:
    """Load the tokenizer that a directory's files describe.

    Parameters
    ----------
    path : Path
        Which `goemo_eval.models.directory.read_directory` has let in.

    Returns
    -------
    transformers.PreTrainedTokenizerBase
        A fast one, with a padding token.

    Raises
    ------
    CheckpointError
        If the files cannot be read, have no fast form, no padding token or no vocabulary.
    """
    from transformers import AutoTokenizer

    register_static()
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # the Rust side and every architecture raise their own
            raise CheckpointError(
                f"{path}: its tokenizer cannot be read ({said(error)}): save it as tokenizer.json"
            ) from None
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"{path}: {type(tokenizer).__name__} has no fast form, and artifacts hold a tokenizer.json: "
            "convert the tokenizer and save that file there"
        )
    if tokenizer.pad_token_id is None and read_config(path)["model_type"] == STATIC:
        _pad_like_bert(tokenizer)
    if tokenizer.pad_token_id is None:
        raise CheckpointError(
            f"{path}: the tokenizer has no padding token, so that texts cannot share a batch: set pad_token "
            "in tokenizer_config.json and pad_token_id in config.json"
        )
    special = set(tokenizer.all_special_ids)
    words = [i for i in tokenizer.get_vocab().values() if i not in special]
    if len(words) < 2:
        raise CheckpointError(
            f"{path}: the tokenizer's vocabulary has {len(words)} tokens beside the special ones: copy the "
            "tokenizer files that the model was trained with there"
        )
    return tokenizer


def _pad_like_bert(tokenizer: Any) -> None:
    """Name the padding token of a static model, which model2vec leaves unsaid: it is never looked at."""
    if (token := "[PAD]") in tokenizer.get_vocab():
        tokenizer.pad_token = token


def check_vocabulary(tokenizer: Any, rows: int, *, path: Path) -> None:
    """Refuse a tokenizer that is not the one of an embedding table.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    rows : int
        Of the table.
    path : Path
        For messages.

    Raises
    ------
    CheckpointError
        If the tokenizer has ids beyond the table, or fills a small part of it.
    """
    last = max(tokenizer.get_vocab().values())
    mend = "copy the tokenizer files that the model was trained with there"
    if last >= rows:
        raise CheckpointError(
            f"{path}: the tokenizer has ids up to {last:,}, but the embedding table has {rows:,} rows: {mend}"
        )
    if _ROWS_PER_TOKEN * (last + 1) < rows:
        raise CheckpointError(
            f"{path}: the tokenizer has ids up to {last:,}, and the embedding table {rows:,} rows, more than "
            f"{_ROWS_PER_TOKEN} times as many: {mend}"
        )
