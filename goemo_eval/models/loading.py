"""A directory's weights in a torch module, exactly: every tensor that the model has, and no other.

transformers fills what is missing with random numbers, drops what it does not know and keeps the
number format of the file. Here the first two are refused by name, and the module is float32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError
from goemo_eval.models.directory import CONFIG, Directory
from goemo_eval.models.layers import keep_layers, layers_of, shallower
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.said import printable, said
from goemo_eval.models.static import STATIC, adopt, register_static

POOLING = "goemo_pooling"
"""Key of a config that names the pooling which stands in for the encoder's own."""
# What changes the form of a model's output, not the logits.
_FORM = (
    "return_dict",
    "use_return_dict",
    "output_attentions",
    "output_hidden_states",
    "torchscript",
)
HEAD = ("id2label", "label2id", "num_labels", "_num_labels", "problem_type", POOLING)
_REPEATED = re.compile(r"layer|block|group|repeat|depth")
_WIDTH = re.compile(r"(size|dim|width)$")
MOST_LAYERS = 1024
_SPARE_PARAMETERS = 20_000_000
"""A fresh head's, and what a small file may lack, before it is looked at tensor by tensor."""


def load_module(directory: Directory) -> Any:
    """Load a fine-tuned model with its head.

    Returns
    -------
    transformers.PreTrainedModel
        Float32, in evaluation mode.

    Raises
    ------
    CheckpointError
        If transformers knows no such model, or a tensor is missing, spare, of another shape, or
        not finite.
    """
    config = build_config(directory, {})
    pooled = directory.config.get(POOLING) == "mean"
    return _load(directory, config, may_lack=_is_pooler if pooled else _nothing, head="kept")


def load_encoder(directory: Directory, head: Mapping[str, Any], *, encoder: str) -> Any:
    """Load an encoder's weights under a fresh head, whatever head they were saved with.

    Parameters
    ----------
    directory : Directory
    head : mapping
        The config's entries of the new head.
    encoder : str
        Its name, which says which of its layers are taken.

    Returns
    -------
    transformers.PreTrainedModel
        Float32, in evaluation mode; the head is drawn from torch's generator, as is a pooler that
        the weights came without.

    Raises
    ------
    CheckpointError
        As `load_module`; what is not the encoder's may be missing or left over.
    """
    config = build_config(directory, head)
    depth: Any = getattr(config, "num_hidden_layers", None)
    taken = layers_of(encoder)
    if taken is None:
        named = adopt(directory, config) if config.model_type == STATIC else dict
        return _load(directory, config, may_lack=_is_pooler, head="fresh", prepared=named)
    indices = shallower(config, taken, encoder=encoder)

    def prepared(tensors: Mapping[str, Any]) -> dict[str, Any]:
        return keep_layers(tensors, indices, depth=depth, encoder=encoder)

    return _load(directory, config, may_lack=_is_pooler, head="fresh", prepared=prepared)


def build_config(directory: Directory, head: Mapping[str, Any]) -> Any:
    """Return transformers' config of a directory, with another head's entries if any are given.

    Raises
    ------
    CheckpointError
        If transformers knows no such architecture, or refuses a value.
    """
    from transformers import __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    register_static()
    values = {key: v for key, v in directory.config.items() if key not in _FORM}
    if head:
        values = {key: v for key, v in values.items() if key not in HEAD} | dict(head)
    file, kind = directory.path / CONFIG, values.pop("model_type")
    if kind not in CONFIG_MAPPING:
        raise CheckpointError(
            f"{file}: model_type {kind!r}: transformers {__version__} knows no such architecture"
        )
    try:
        return CONFIG_MAPPING[kind].from_dict(values)
    except Exception as error:  # whatever an architecture makes of a wrong value
        raise CheckpointError(f"{file}: not a config of {kind} ({said(error)})") from None


def model_class(config: Any, *, file: Path) -> Any:
    """Return transformers' class of a config with a sequence classification head.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise CheckpointError(
            f"{file}: model_type {config.model_type!r}: transformers has no sequence classification of it"
        )
    found = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    return found[0] if isinstance(found, (tuple, list)) else found


def _load(
    directory: Directory,
    config: Any,
    *,
    may_lack: Any,
    head: Literal["kept", "fresh"],
    prepared: Callable[[Mapping[str, Any]], dict[str, Any]] = dict,
) -> Any:
    import torch

    file = directory.path / CONFIG
    kind = model_class(config, file=file)
    with quiet_transformers():
        skeleton = _skeleton(directory, config, kind)
        encoder = EncoderNames(skeleton)
        tensors = prepared(_tensors(directory))
        if head == "fresh":
            encoder.check(directory.path)
            tensors = _with_tied_table(skeleton, tensors, encoder)
            own = set(skeleton.state_dict())
            tensors = {n: t for n, t in tensors.items() if n not in own or encoder.has(n)}
        try:
            module, info = kind.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
            )
        except Exception as error:  # whatever transformers' conversion of names meets
            raise CheckpointError(
                f"{directory.path}: transformers cannot load it ({said(error)})"
            ) from None
    missing = [name for name in info["missing_keys"] if not may_lack(name)]
    unknown = sorted(info["unexpected_keys"])
    spare = [name for name in unknown if not _is_pooler(name)]
    if head == "fresh":
        missing = [name for name in missing if encoder.has(name)]
        spare = [name for name in spare if encoder.has(name)]
    _refuse_mismatched(directory, info["mismatched_keys"])
    if missing:
        hold = f", and hold {_listed(unknown)}" if unknown else ""
        raise CheckpointError(
            f"{directory.path}: the weights lack {_listed(missing)}{hold}: save the whole model"
            + _prefix(missing, unknown)
        )
    if spare:
        raise CheckpointError(
            f"{directory.path}: the weights hold {_listed(spare)}, for which the model of {CONFIG} has no "
            "place: copy the config that belongs to them"
        )
    return module.eval()


def _skeleton(directory: Directory, config: Any, kind: Any) -> Any:
    """Build the model without memory for its weights, once it is sure that it is not a giant."""
    import torch

    file, most = directory.path / CONFIG, max(MOST_LAYERS, len(directory.tensors))
    for key, count in repeats(directory.config):
        if count > most:
            raise CheckpointError(
                f"{file}: {shown(key)} asks for {count:.3g} parts, but the weights hold "
                f"{len(directory.tensors)} tensors: copy the config that belongs to them"
            )
    try:
        with torch.device("meta"):
            skeleton = kind(config)
    except Exception as error:  # whatever an architecture makes of a wrong value
        raise CheckpointError(
            f"{file}: transformers cannot build this model ({said(error)})"
        ) from None
    described = sum(p.numel() for p in skeleton.parameters())
    held = sum(tensor.size for tensor in directory.tensors.values())
    if described > 2 * held + _SPARE_PARAMETERS:
        raise CheckpointError(
            f"{file}: describes a model of {described:,} parameters, but the weights hold {held:,}: copy "
            "the config that belongs to them"
        )
    return skeleton


def repeats(config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what of a config says how often something is built, and how often."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from repeats(value)
        elif _REPEATED.search(key) and not _WIDTH.search(key):
            each = value if isinstance(value, list) else [value]
            numbers = [min(n, 1e9) for n in each if type(n) is int]
            yield key, max(sum(numbers), len(each))


def _tensors(directory: Directory) -> dict[str, Any]:
    """Read all tensors, those of floats as float32."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for name in directory.weights:
        try:
            found |= load_file(directory.path / name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{directory.path / name}: cannot read ({said(error)})") from None
    found = {n: t.to(torch.float32) if t.is_floating_point() else t for n, t in found.items()}
    for name, tensor in found.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{directory.path}: tensor {shown(name)} holds NaN or infinity: its training diverged, or the "
                "file is damaged; take another checkpoint"
            )
    return found


class EncoderNames:
    """Which tensors of a model, or of a file, are its encoder's.

    A file's names may begin with the encoder's own name, as a whole model's do, or without it, as
    an encoder's that was saved alone.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    """

    def __init__(self, model: Any) -> None:
        self._kind = type(model).__name__
        self._separate = model.base_model is not model
        self.prefix = f"{model.base_model_prefix}."
        parts = {name.partition(".")[0] for name in model.base_model.state_dict()}
        outside = {
            name.partition(".")[0]
            for name in model.state_dict()
            if not name.startswith(self.prefix)
        }
        self._parts = parts - outside

    def check(self, path: Path) -> None:
        """Refuse a model whose encoder is no part of its own.

        Raises
        ------
        CheckpointError
        """
        if not self._separate:
            raise CheckpointError(
                f"{path}: {self._kind} does not tell its encoder from its head, so that none can be fresh: "
                "take another architecture"
            )

    def has(self, name: str) -> bool:
        """Say whether a tensor of this name is the encoder's."""
        return name.startswith(self.prefix) or name.partition(".")[0] in self._parts


def _with_tied_table(
    skeleton: Any, tensors: dict[str, Any], encoder: EncoderNames
) -> dict[str, Any]:
    """Return an encoder's tensors with its embedding table, where the file has it as another layer's.

    Of a language model whose output layer is tied to the table, the one tensor may have been saved under
    either name.
    """
    table = skeleton.get_input_embeddings().weight
    name = next((n for n, p in skeleton.named_parameters() if p is table), None)
    if name is None or not getattr(skeleton.config, "tie_word_embeddings", False):
        return tensors
    if tensors.keys() & {name, name.removeprefix(encoder.prefix)}:
        return tensors
    same = [n for n, t in tensors.items() if not encoder.has(n) and t.shape == table.shape]
    return tensors | {name: tensors[same[0]]} if len(same) == 1 else tensors


def _is_pooler(name: str) -> bool:
    return "pooler" in name.split(".")


def _nothing(name: str) -> bool:
    del name
    return False


def _refuse_mismatched(directory: Directory, mismatched: Collection[tuple[str, Any, Any]]) -> None:
    if mismatched:
        name, theirs, ours = min(mismatched, key=lambda each: each[0])
        raise CheckpointError(
            f"{directory.path}: tensor {name!r} has shape {tuple(theirs)} where {CONFIG} asks for "
            f"{tuple(ours)} ({len(mismatched)} such): copy the config that belongs to the weights"
        )


def _prefix(missing: Iterable[str], spare: Sequence[str]) -> str:
    """Say so where the names differ by a prefix alone."""
    for name in sorted(missing):
        for other in spare:
            if other.endswith(f".{name}"):
                return f", without the prefix {other.removesuffix(name)!r} of its names"
    return ""


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    first = ", ".join(printable(name, most=80) for name in ordered[:3])
    return f"{first} and {len(ordered) - 3} more" if len(ordered) > 3 else first
