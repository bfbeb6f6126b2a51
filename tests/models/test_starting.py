"""Every registered encoder begins as the recipe that a run takes by default asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goemo_eval.models.encoders import encoder_names, get_encoder
from goemo_eval.models.head import fit_head
from goemo_eval.models.probing import embedding_rows
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.weights import Weights, build_model

LABELS = ("anger", "joy", "neutral")


@pytest.mark.parametrize(
    "name", [name for name in encoder_names() if get_encoder(name).model_type != "linear"]
)
def test_every_registered_encoder_begins_as_strong_asks(name: str) -> None:
    shallow = name if get_encoder(name).model_type == "model2vec" else f"{name}@1"
    model = build_model(
        get_encoder(shallow), Weights("random", "random"), LABELS, kind="multilabel"
    )
    recipe = load_recipe("strong").for_cell(name, "raw")
    fit_head(model, recipe, np.array([5, 3, 90]), n_rows=100, kind="multilabel")
    ids = torch.arange(5, 16)[None] % embedding_rows(model)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert logits.shape == (1, 3)
    assert logits[0].argmax() == 2  # the head's bias begins at the labels' shares
