"""An architecture with random weights, as a table of an encoder describes it: sized before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError
from goemo_eval.models.layers import layers_of, shallower
from goemo_eval.models.loading import HEAD, MOST_LAYERS, repeats
from goemo_eval.models.said import said
from goemo_eval.models.static import register_static

_MOST_PARAMETERS = 2_000_000_000


def build_random(encoder: str, model_type: str, config: Mapping[str, Any]) -> Any:
    """Build an architecture whose weights are drawn from torch's generator.

    Parameters
    ----------
    encoder : str
        Its name, for messages, which says as well which of its layers are taken.
    model_type : str
    config : mapping
        What differs from the architecture's defaults, and the head's entries.

    Returns
    -------
    transformers.PreTrainedModel
        Float32, in evaluation mode.

    Raises
    ------
    CheckpointError
        If transformers knows no such architecture, refuses a value, or would build a giant.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    register_static()
    where = f"encoder {encoder}"
    if model_type not in CONFIG_MAPPING:
        raise CheckpointError(
            f"{where}: model_type {model_type!r}: transformers {__version__} knows no such architecture"
        )
    own = {key: value for key, value in config.items() if key not in HEAD}
    for key, count in repeats(own):
        if count > MOST_LAYERS:
            raise CheckpointError(
                f"{where}: {shown(key)} asks for {count:.3g} parts: at most {MOST_LAYERS:,}"
            )
    try:
        described = CONFIG_MAPPING[model_type](**config)
        if (taken := layers_of(encoder)) is not None:
            shallower(described, taken, encoder=encoder)
        # Without memory for its weights first, and without a number from the generator.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            skeleton = AutoModelForSequenceClassification.from_config(described)
    except CheckpointError:
        raise
    except Exception as error:  # whatever an architecture makes of a wrong value
        raise CheckpointError(
            f"{where}: transformers cannot build {model_type} of its config ({said(error)})"
        ) from None
    size = sum(parameter.numel() for parameter in skeleton.parameters())
    if size > _MOST_PARAMETERS:
        raise CheckpointError(
            f"{where}: its config describes {size:,} parameters: at most {_MOST_PARAMETERS:,}"
        )
    return AutoModelForSequenceClassification.from_config(described).eval()
