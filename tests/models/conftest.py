"""Tiny checkpoints of every architecture, whole ones, for tests to break."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LABELS = ("anger", "joy", "neutral")
TEXT = "a the good bad day cat dog hello world this is text that longer than other one ,"
WORDS = TEXT.split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LENGTH = 64
SIZES = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": LENGTH,
    "pad_token_id": 0,
}


def save_tokenizer(directory: Path, **options: Any) -> None:
    """Save a word tokenizer of a few words, with BERT's special tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    types = options.pop("types", (0, 0))
    words = options.pop("words", [*SPECIAL, *WORDS])
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    if "[CLS]" in words:
        tokenizer.post_processor = TemplateProcessing(
            single=f"[CLS]:{types[0]} $A:{types[1]} [SEP]:{types[1]}",
            special_tokens=[(word, words.index(word)) for word in ("[CLS]", "[SEP]")],
        )
    named = {f"{word}_token": f"[{word.upper()}]" for word in ("unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{"pad_token": "[PAD]", "model_max_length": LENGTH} | named | options,
    ).save_pretrained(directory)


def save_model(
    directory: Path, model_type: str = "bert", *, head: bool = True, **sizes: Any
) -> None:
    """Save a model with random weights; without a head as an encoder alone."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    from goemo_eval.models.quiet import quiet_transformers

    config = AutoConfig.for_model(
        model_type,
        **{key: size for key, size in {**SIZES, **sizes}.items() if size is not None},
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        problem_type="multi_label_classification",
    )
    torch.manual_seed(0)
    with quiet_transformers():
        kind = AutoModelForSequenceClassification if head else AutoModel
        kind.from_config(config).save_pretrained(directory)


def edit_json(file: Path, drop: tuple[str, ...] = (), **changed: Any) -> None:
    """Change keys of a JSON file."""
    content = json.loads(file.read_text()) | changed
    file.write_text(json.dumps({key: v for key, v in content.items() if key not in drop}))


def edit_tensors(directory: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the tensors of a directory's weights."""
    from safetensors.torch import load_file, save_file

    file = directory / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "checkpoint"
    save_model(directory)
    save_tokenizer(directory)
    return directory


@pytest.fixture
def plain(_whole: Path, tmp_path: Path) -> Path:
    """A plain transformers directory that loads: a BERT of two layers, three labels, few words."""
    return Path(shutil.copytree(_whole, tmp_path / "plain"))


@pytest.fixture
def written(_whole: Path, tmp_path: Path) -> Path:
    """The same as a checkpoint that was fine-tuned here, with a manifest."""
    from goemo_eval.models.checkpoint import write_manifest
    from goemo_eval.models.manifest import Manifest

    directory = Path(shutil.copytree(_whole, tmp_path / "written"))
    write_manifest(
        directory,
        Manifest(
            model="transformers",
            encoder="tiny",
            scheme="raw",
            kind="multilabel",
            labels=list(LABELS),
            max_length=32,
            weights="pretrained",
            base_sha256="b" * 64,
            recipe={"name": "study", "epochs": 3, "learning_rate": 5e-5},
            seed=7,
            train_sha256="d" * 64,
        ),
    )
    return directory


@pytest.fixture
def weights_dir(tmp_path: Path) -> Callable[..., Path]:
    """Build a directory of weights of an architecture, as a user would bring it."""

    def build(model_type: str = "bert", *, head: bool = True, **sizes: Any) -> Path:
        directory = tmp_path / f"weights-{model_type}"
        save_model(directory, model_type, head=head, **sizes)
        save_tokenizer(directory)
        return directory

    return build


@pytest.fixture
def shard() -> Callable[[Path], None]:
    """Split a directory's weights into three files with an index, as transformers does."""

    def split(directory: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(directory / "model.safetensors")
        (directory / "model.safetensors").unlink()
        names = sorted(tensors)
        where = {}
        for i in range(3):
            file = f"model-0000{i + 1}-of-00003.safetensors"
            part = {name: tensors[name] for name in names[i::3]}
            save_file(part, directory / file, metadata={"format": "pt"})
            where |= dict.fromkeys(part, file)
        index = {"metadata": {}, "weight_map": where}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))

    return split
