"""Static embeddings: the mean of a text's token vectors, which no word's neighbours change, under a linear head.

The architecture of model2vec's models, such as potion, which transformers lacks: registered with it here, it
is fine-tuned, converted and deployed as any other. Tulkens and van Dongen, "Model2Vec: Fast State-of-the-Art
Static Embeddings", 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError
from goemo_eval.models.directory import Directory
from goemo_eval.models.headers import FLOATS

STATIC = "model2vec"
"""``model_type`` in a config, as model2vec writes it."""
_TABLE = "embeddings"
_LEAST = 1e-12  # of a length: a text without a known token has none


@cache
def register_static() -> None:
    """Make the architecture known to transformers' automatic classes."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForSequenceClassification,
        PreTrainedConfig,
        PreTrainedModel,
    )
    from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

    class StaticConfig(PreTrainedConfig):  # type: ignore[misc]
        """What model2vec's ``config.json`` says of a model, and the size of its table."""

        model_type = STATIC
        attribute_map = {"hidden_size": "hidden_dim"}  # noqa: RUF012
        vocab_size: int = 0
        hidden_dim: int = 256
        normalize: bool = True
        initializer_range: float = 0.02

    class StaticPreTrained(PreTrainedModel):  # type: ignore[misc]
        config_class = StaticConfig
        base_model_prefix = "static"
        _supports_sdpa = True  # it has no attention to write in another way

    class StaticModel(StaticPreTrained):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.embeddings = torch.nn.Embedding(config.vocab_size, config.hidden_dim)
            self.post_init()

        def get_input_embeddings(self) -> Any:
            return self.embeddings

        def forward(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Any:
            vectors = self.embeddings(input_ids)  # (B, T, H)
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            weight = mask.unsqueeze(-1).to(vectors.dtype)  # (B, T, 1)
            mean = (vectors * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
            if self.config.normalize:
                mean = mean / mean.norm(dim=-1, keepdim=True).clamp(min=_LEAST)
            return BaseModelOutputWithPooling(last_hidden_state=vectors, pooler_output=mean)

    class StaticForSequenceClassification(StaticPreTrained):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.static = StaticModel(config)
            self.classifier = torch.nn.Linear(config.hidden_dim, config.num_labels)
            self.post_init()

        def forward(
            self, input_ids: Any, attention_mask: Any = None, labels: Any = None, **_: Any
        ) -> Any:
            found = self.static(input_ids=input_ids, attention_mask=attention_mask)
            logits = self.classifier(found.pooler_output)
            loss = None
            if labels is not None:
                several = self.config.problem_type == "multi_label_classification"
                losses = torch.nn.functional
                kind = losses.binary_cross_entropy_with_logits if several else losses.cross_entropy
                loss = kind(logits, labels)
            return SequenceClassifierOutput(loss=loss, logits=logits)

    AutoConfig.register(STATIC, StaticConfig)
    AutoModel.register(StaticConfig, StaticModel)
    AutoModelForSequenceClassification.register(StaticConfig, StaticForSequenceClassification)


def adopt(directory: Directory, config: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Fit a config to the table that a directory holds, and return how its tensors are called here.

    Raises
    ------
    CheckpointError
        If model2vec saved something else than one table of floats: rows that share vectors, or weights of
        their own.
    """
    if any(name.startswith("static.") for name in directory.tensors):  # saved here
        return dict
    table = directory.tensors.get(_TABLE)
    if len(directory.tensors) != 1 or table is None or table.dtype not in FLOATS:
        held = ", ".join(shown(name) for name in sorted(directory.tensors)[:3])
        raise CheckpointError(
            f"{directory.path}: holds {held}, where one tensor {_TABLE!r} of floats is read: save the model "
            "without quantization of its values or its vocabulary"
        )
    config.vocab_size, config.hidden_dim = table.shape
    return lambda tensors: {"static.embeddings.weight": tensors[_TABLE]}
