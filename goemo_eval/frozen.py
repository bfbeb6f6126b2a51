"""The base of every value that a record keeps, and the names in it."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

ENCODER_NAME = r"^[a-z0-9_]{1,64}(@[0-9]{1,3}(\.[0-9]{1,3})*)?(\+tfidf)?$"
"""An encoder in cell ids, which join names with hyphens; after the @, the layers that are taken of it."""
MIXED = "+tfidf"
"""What follows its name where the floor stands beside it (`goemo_eval.models.mixture`)."""
EncoderName = Annotated[str, Field(pattern=ENCODER_NAME)]

Precision = Literal["fp32", "bf16", "int8"]
"""What a model multiplies in, the most exact first; thresholds are FP32's, and the others are held against it."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEFAULT_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""Those that every engine has, on every CPU."""


class Frozen(BaseModel):
    """A frozen value: no unknown fields, no NaN, no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
