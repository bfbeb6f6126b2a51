"""Texts as token ids, by the `tokenizers` package alone, and batches of them.

An artifact holds ``tokenizer.json`` and, in its description, how texts are cut and padded. That
is all that a server needs: neither torch nor transformers is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.artifact import TokensInfo
from goemo_eval.engines.base import BATCH_SIZE, PADDED_LENGTH, Shape, TokenBatch
from goemo_eval.errors import CheckpointError, DataError, EngineError

if TYPE_CHECKING:
    from goemo_eval.models.pretrained import Pretrained

FILE = "tokenizer.json"
_ROUNDED = 8  # a length is rounded up by an eighth of itself at most
_STRETCH = 1024  # texts tokenized at once: what the Rust side returns is large
_PROBES = (
    "",
    "The committee that met yesterday could not agree, and nobody was surprised.",
    "Don't SHOUT!  http://a.example/?q=1&r=2 :) \U0001f600 cafe\u0301 \u00e9\u00df",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <mask> <pad> <unk> <|endoftext|> <cls> <sep>",
    "\x00a\tb\r\nc\u200b\u00ad \u4f60\u597d \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
)
"""What every saved tokenizer is compared on, beside one text that is cut."""

Ids = npt.NDArray[np.int64]


class Encoded(NamedTuple):
    """One text's token ids and, where the model is given them, token types; each of shape (T,)."""

    ids: Ids
    types: Ids | None


class Tokens:
    """A tokenizer as an artifact holds it.

    Parameters
    ----------
    directory : Path
        With ``tokenizer.json``.
    info : TokensInfo

    Raises
    ------
    EngineError
        If the file is missing or broken.
    """

    def __init__(self, directory: Path, info: TokensInfo) -> None:
        from tokenizers import Tokenizer

        self.info = info
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(directory / FILE))
        except Exception as error:  # the Rust side raises plain Exception
            raise EngineError(f"{directory / FILE}: not a tokenizer ({error})") from None
        self._direction = (self._tokenizer.truncation or {}).get("direction", "right")
        self._tokenizer.no_padding()
        self._cut()

    def _cut(self) -> None:
        self._tokenizer.enable_truncation(self.info.max_length, direction=self._direction)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokenize texts: each cut to the length limit, not padded.

        Raises
        ------
        DataError
            If a text cannot be written as UTF-8 (a lone surrogate); its row is named.
        """
        found: list[Encoded] = []
        for start in range(0, len(texts), _STRETCH):
            stretch = list(texts[start : start + _STRETCH])
            try:
                encodings = self._tokenizer.encode_batch_fast(stretch)
            except (TypeError, UnicodeEncodeError):
                raise DataError(_unwritable(stretch, start)) from None
            found += map(self._encoded, encodings)
        return found

    def _encoded(self, encoding: Any) -> Encoded:
        ids = np.array(encoding.ids, dtype=np.int64)
        if self.info.folded:
            ids %= self.info.vocabulary
        types = np.array(encoding.type_ids, dtype=np.int64) if self.info.type_ids else None
        return Encoded(ids, types)

    def batches(
        self,
        texts: Sequence[str],
        *,
        shape: Shape,
        tokens: int | None = None,
        exactly: Sequence[int] = (),
    ) -> list[TokenBatch]:
        """Return batches of texts in one of the shapes.

        Parameters
        ----------
        texts : sequence of str
        shape : {"scored", "real", "padded128", "single"}
            See `goemo_eval.engines.base.Shape`; ``padded128`` is cut to the length limit.
        tokens : int, optional
            ``scored`` batches hold at most so many padded tokens, in place of 32 texts.
        exactly : sequence of int, default ()
            They hold one of these numbers of padded tokens instead, as far as `by_counts` can.
        """
        encoded = self.encode(texts)
        if shape == "scored":
            groups = self._scored(encoded, tokens, exactly)
            return [
                self.pad(encoded, rows, length=length)._replace(beside=True)
                for rows, length in groups
            ]
        size = 1 if shape == "single" else BATCH_SIZE
        length = min(PADDED_LENGTH, self.info.max_length) if shape == "padded128" else None
        return [
            self.pad(encoded, range(start, min(start + size, len(encoded))), length=length)
            for start in range(0, len(encoded), size)
        ]

    def _scored(
        self, encoded: Sequence[Encoded], tokens: int | None, exactly: Sequence[int]
    ) -> Iterable[tuple[list[int], int | None]]:
        """Return rows that share a batch, and the length to pad them to where it is not the longest's."""
        if exactly:
            return by_counts(encoded, exactly)
        groups = by_length(encoded) if tokens is None else by_tokens(encoded, tokens)
        return [(rows, None) for rows in groups]

    def pad(
        self, encoded: Sequence[Encoded], rows: Sequence[int], *, length: int | None = None
    ) -> TokenBatch:
        """Pad some rows to one length: the longest of them, or `length`; longer ones are cut to it."""
        width = length or max([1, *(len(encoded[row].ids) for row in rows)])
        info = self.info
        ids = np.full((len(rows), width), info.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        types = np.full_like(ids, info.pad_type_id) if info.type_ids else None
        for i, row in enumerate(rows):
            count = min(len(encoded[row].ids), width)
            where = slice(width - count, width) if info.padding_side == "left" else slice(count)
            ids[i, where] = encoded[row].ids[:count]
            mask[i, where] = 1
            if types is not None:
                own = encoded[row].types
                assert own is not None
                types[i, where] = own[:count]
        return TokenBatch(tuple(rows), ids, mask, types)


def by_length(encoded: Sequence[Encoded], *, batch_size: int = BATCH_SIZE) -> list[list[int]]:
    """Return rows of like length in batches, longest first.

    Sorting spares the padding that mixed lengths would cost; ties keep their order, so the
    batches are the same every time.
    """
    order = _longest_first(encoded)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def by_tokens(encoded: Sequence[Encoded], tokens: int) -> list[list[int]]:
    """Return rows of like length in batches of at most `tokens` padded tokens, longest first.

    Short texts so share a batch in larger number, and every batch is about as much work: two
    that run side by side end together. A row that is longer than `tokens` has a batch of its own.
    """
    order = _longest_first(encoded)
    groups, start = [], 0
    while start < len(order):
        size = max(1, tokens // max(1, len(encoded[order[start]].ids)))
        groups.append(order[start : start + size])
        start += size
    return groups


def by_counts(encoded: Sequence[Encoded], counts: Sequence[int]) -> list[tuple[list[int], int]]:
    """Return rows of like length in batches, longest first, and the length to pad each to.

    A runtime that builds kernels for every number of tokens that it meets, and keeps them, so meets
    few. A length is rounded up to the next that divides one of `counts`; where that is further than an
    eighth away, as of long texts, it is taken as it is, in batches of at most the largest count.
    """
    order = _longest_first(encoded)
    groups, start = [], 0
    while start < len(order):
        width, size = _rounded(max(1, len(encoded[order[start]].ids)), counts)
        groups.append((order[start : start + size], width))
        start += size
    return groups


def _rounded(length: int, counts: Sequence[int]) -> tuple[int, int]:
    """Return the length to pad to, and how many rows of it make a batch."""
    for width in range(length, length + length // _ROUNDED + 1):
        for count in counts:
            if count % width == 0:
                return width, count // width
    return length, max(1, max(counts) // length)


def _longest_first(encoded: Sequence[Encoded]) -> list[int]:
    return sorted(range(len(encoded)), key=lambda row: -len(encoded[row].ids))


def cut_share(tokens: Tokens, texts: Sequence[str]) -> float:
    """Return the share of texts that are longer than the limit, and so are cut; in [0, 1]."""
    whole = tokens._tokenizer
    whole.no_truncation()
    try:
        counts = [len(e.ids) for e in whole.encode_batch_fast(list(texts))]
    finally:
        tokens._cut()
    return sum(count > tokens.info.max_length for count in counts) / max(1, len(counts))


def save_tokens(pretrained: Pretrained, out: Path) -> TokensInfo:
    """Write ``tokenizer.json`` for an artifact, and verify that it gives the checkpoint's own ids.

    Parameters
    ----------
    pretrained : Pretrained
    out : Path
        Directory.

    Returns
    -------
    TokensInfo
        Token types are asked for where the model takes them and the tokenizer's are not all zero.

    Raises
    ------
    CheckpointError
        If the tokenizer has no fast form, or its file would give other ids than itself.
    """
    from tokenizers import Tokenizer

    checkpoint, tokenizer = pretrained.checkpoint, pretrained.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"{checkpoint.path}: {type(tokenizer).__name__} has no fast form, and artifacts hold a "
            f"{FILE}: convert the tokenizer, and save that file into the checkpoint"
        )
    info = TokensInfo(
        max_length=checkpoint.max_length,
        vocabulary=pretrained.vocab_size,
        pad_id=pretrained.pad_id,
        pad_type_id=tokenizer.pad_token_type_id,
        padding_side=tokenizer.padding_side,
        type_ids=pretrained.type_ids,
        folded=pretrained.folded,
    )
    # A copy: transformers keeps its own cutting and padding in the one that it holds.
    saved = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    saved.no_padding()
    saved.enable_truncation(info.max_length, direction=tokenizer.truncation_side)
    (out / FILE).write_text(saved.to_str(), encoding="utf-8")
    _check_saved(pretrained, Tokens(out, info))
    return info


def _check_saved(pretrained: Pretrained, tokens: Tokens) -> None:
    info, path = tokens.info, pretrained.checkpoint.path
    texts = [*_PROBES, " ".join(_PROBES * info.max_length)[: 32 * info.max_length]]
    expected = pretrained.tokenizer(texts, truncation=True, max_length=info.max_length)
    for row, found in enumerate(tokens.encode(texts)):
        own = np.array(expected["input_ids"][row], dtype=np.int64)
        ids = own % info.vocabulary if info.folded else own
        same = np.array_equal(found.ids, ids) and (
            found.types is None or np.array_equal(found.types, expected["token_type_ids"][row])
        )
        if not same:
            raise CheckpointError(
                f"{path}: {FILE} gives other token ids than {type(pretrained.tokenizer).__name__} "
                f"for {texts[row][:60]!r}: save the tokenizer with settings that {FILE} can hold"
            )


def _unwritable(texts: Iterable[object], start: int) -> str:
    for row, text in enumerate(texts, start=start):
        if not isinstance(text, str):
            return f"text {row} is {type(text).__name__}: expected str"
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return (
                f"text {row} cannot be written as UTF-8 ({error.reason} at character {error.start})"
            )
    return "a text cannot be tokenized"
