"""A saved tokenizer against the one it was saved from, over real texts and hostile ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from goemo_eval.data.dataset import Split
from goemo_eval.engines.artifact import TokensInfo
from goemo_eval.engines.tokens import FILE, Tokens, save_tokens
from goemo_eval.errors import CheckpointError, DataError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import Pretrained
from goemo_eval.models.weights import Weights

HOSTILE = (
    "",
    " \t\r\n\x0b\x0c\x85\u2028\u3000",
    "\x00",
    "nul \x00 within",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f3fd",
    "e" + "\u0301" * 300,
    "Z\u0351\u036b\u0343a\u0360l\u0327g\u0321o\u0322",
    "\ufeffbom \u200bzero\u00adwidth \u202ereversed",
    "[CLS] [SEP][MASK] [PAD] [UNK] ##ing [cls]",
    "\u4f60\u597d\u4e16\u754c \ud55c\uad6d\uc5b4 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "a" * 250,
    "\ufffd\uffff\U0010ffff",
    "word " * 200_000,
    "x" * 1_000_000,
)


@pytest.fixture(scope="module")
def minilm(minilm_weights: Weights) -> Pretrained:
    """What `save_tokens` reads of a checkpoint: MiniLM's tokenizer and a BERT without its weights."""
    with torch.device("meta"):
        module = BertForSequenceClassification(BertConfig(num_hidden_layers=1))
    return pretrained(module, AutoTokenizer.from_pretrained(minilm_weights.path))


def pretrained(module: Any, tokenizer: Any, **fields: Any) -> Pretrained:
    checkpoint = {"path": Path("mine"), "max_length": 128, "weights": "checkpoint"} | fields
    return Pretrained(cast("Checkpoint", SimpleNamespace(**checkpoint)), module, tokenizer)


def assert_same(found: Pretrained, texts: Sequence[str], out: Path) -> TokensInfo:
    info = save_tokens(found, out)
    expected = found.tokenizer(list(texts), truncation=True, max_length=info.max_length)
    for row, encoded in enumerate(Tokens(out, info).encode(texts)):
        np.testing.assert_array_equal(
            encoded.ids, expected["input_ids"][row], err_msg=texts[row][:80]
        )
    return info


def test_ids_are_those_of_transformers(
    minilm: Pretrained, sample: dict[str, Split], tmp_path: Path
) -> None:
    texts = [text for split in sample.values() for text in split.texts]
    info = assert_same(minilm, [*texts, *HOSTILE], tmp_path)
    assert info == TokensInfo(max_length=128, vocabulary=30522, pad_id=0)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_batches_are_those_of_transformers(minilm: Pretrained, tmp_path: Path) -> None:
    info = save_tokens(minilm, tmp_path)
    texts = ["a", "a longer text", ""]
    (batch,) = Tokens(tmp_path, info).batches(texts, shape="real")
    expected = minilm.tokenizer(texts, padding=True, return_tensors="np")
    np.testing.assert_array_equal(batch.input_ids, expected["input_ids"])
    np.testing.assert_array_equal(batch.attention_mask, expected["attention_mask"])
    assert batch.token_type_ids is None


def test_the_side_that_is_cut_and_the_side_that_is_padded_are_the_tokenizers(
    minilm_weights: Weights, minilm: Pretrained, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(
        minilm_weights.path, truncation_side="left", padding_side="left"
    )
    info = assert_same(pretrained(minilm.module, tokenizer, max_length=6), HOSTILE[:-2], tmp_path)
    assert info.padding_side == "left"
    texts = ["one two three four five six", "one"]
    (batch,) = Tokens(tmp_path, info).batches(texts, shape="real")
    expected = tokenizer(texts, truncation=True, max_length=6, padding=True, return_tensors="np")
    np.testing.assert_array_equal(batch.input_ids, expected["input_ids"])
    np.testing.assert_array_equal(batch.attention_mask, expected["attention_mask"])


def test_token_types_that_are_not_zero_are_kept(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLNetConfig, XLNetForSequenceClassification

    words = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "one", "two"]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A:0 <sep>:0 <cls>:2", special_tokens=[("<sep>", 4), ("<cls>", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    tokenizer._pad_token_type_id = 3  # as XLNet's own class sets it
    with torch.device("meta"):
        module = XLNetForSequenceClassification(
            XLNetConfig(vocab_size=len(words), d_model=8, n_head=2, d_inner=8, n_layer=1)
        )
    info = save_tokens(pretrained(module, tokenizer), tmp_path)
    assert (info.type_ids, info.pad_type_id, info.padding_side) == (True, 3, "left")
    texts = ["one two one", "two"]
    (batch,) = Tokens(tmp_path, info).batches(texts, shape="real")
    expected = tokenizer(texts, padding=True, return_tensors="np")
    for key, found in batch.inputs.items():
        np.testing.assert_array_equal(found, expected[key])


def test_a_stand_in_tokenizers_ids_are_folded_and_no_others(
    minilm: Pretrained, tmp_path: Path
) -> None:
    with torch.device("meta"):
        module = BertForSequenceClassification(BertConfig(num_hidden_layers=1, vocab_size=1000))
    info = save_tokens(pretrained(module, minilm.tokenizer, weights="random"), tmp_path)
    assert info.folded
    (encoded,) = Tokens(tmp_path, info).encode(["committee"])
    assert encoded.ids.max() < 1000
    assert not save_tokens(minilm, tmp_path).folded


def test_a_tokenizer_without_a_fast_form_is_refused(minilm: Pretrained, tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer

    with pytest.raises(CheckpointError, match="mine: ByT5Tokenizer has no fast form"):
        save_tokens(pretrained(minilm.module, ByT5Tokenizer()), tmp_path)


def test_a_file_that_would_give_other_ids_is_refused(
    minilm: Pretrained, minilm_weights: Weights, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_weights.path, split_special_tokens=True)
    with pytest.raises(CheckpointError, match=r"gives other token ids than \w+ for '\[CLS\]"):
        save_tokens(pretrained(minilm.module, tokenizer), tmp_path)


def test_a_lone_surrogate_is_named_by_its_row(minilm: Pretrained, tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, save_tokens(minilm, tmp_path))
    with pytest.raises(DataError, match="text 1 cannot be written as UTF-8"):
        tokens.encode(["fine", "\ud800"])
