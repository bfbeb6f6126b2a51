"""Fine-tuning recipes: small TOML files that are copied and changed, and what reads them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from goemo_eval.errors import CheckpointError, unknown_name
from goemo_eval.files import read_text
from goemo_eval.frozen import MIXED
from goemo_eval.models.compute import has_bf16
from goemo_eval.models.layers import base_of
from goemo_eval.models.manifest import Compute
from goemo_eval.models.said import first_problem, said

Share = Annotated[float, Field(ge=0, lt=1)]
Exponent = Annotated[float, Field(ge=0, le=10)]


_TABLES = {"encoder", "scheme"}
_MOST_BYTES = 1 << 20


class Recipe(BaseModel):
    """Every value of a fine-tuning run but the seed.

    The fields without a default are what every recipe states; the others say "as plain
    fine-tuning does" unless a recipe changes them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    batch_size: Annotated[int, Field(ge=1, le=100_000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    """Peak rate of AdamW."""
    schedule: Literal["constant", "linear", "cosine"]
    """After the warm-up the rate stays, or falls to zero along a line or half a cosine."""
    weight_decay: Annotated[float, Field(ge=0, le=100)]
    warmup_ratio: Share
    """Share of all steps over which the rate rises from zero."""
    max_length: Annotated[int, Field(ge=8, le=8192)]
    """Tokens to which texts are cut: at most what the model has positions for."""

    loss: Literal["bce", "focal", "asymmetric"] = "bce"
    """See `goemo_eval.models.losses`; a multiclass scheme takes the softmax form of each."""
    focal_gamma: Exponent = 2.0
    positive_gamma: Exponent = 1.0
    """Focusing of the asymmetric loss on positives."""
    negative_gamma: Exponent = 4.0
    """Focusing of the asymmetric loss on negatives."""
    negative_clip: Share = 0.05
    """Probability below which the asymmetric loss drops a negative."""
    label_weighting: Literal["none", "inverse", "inverse-sqrt", "class-balanced"] = "none"
    """How rare labels are made to weigh more: see `goemo_eval.models.losses.label_weights`."""
    balance_beta: Share = 0.999
    """Of class-balanced weights: nearer to 1 is nearer to inverse frequency."""
    label_smoothing: Share = 0.0
    teacher_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the loss that is the distance from the teachers' logits: the rest is of the true targets."""
    teacher_temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """By which student and teacher are softened: see `goemo_eval.models.distillation.distillation_loss`."""
    repeat_below: Share = 0.0
    """Share of the rows under which a label is rare, and its rows are seen more often: see
    `goemo_eval.models.batches.repeat_factors`; 0 shows every row once an epoch."""
    averaged_share: Share = 0.0
    """Of all steps: the weights are the mean over the last ones; 0 keeps the last step's. See
    `goemo_eval.models.averaging`."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The learning rate falls by this factor with each layer below the top."""
    head_rate_factor: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """The head's learning rate over `learning_rate`."""
    head_bias: Literal["zero", "prior"] = "zero"
    """Where the head's bias starts: at zero, or at each label's share of the training rows, so that
    the first steps need not drag every logit down through the encoder."""
    prior_shift: Literal["none", "validation"] = "none"
    """Of a multiclass scheme: move the trained head's bias along the classes' log shares, as far as
    validation Macro-F1 rises. See `goemo_eval.models.head.shift_prior`."""
    pooling: Literal["encoder", "mean"] = "encoder"
    """What the head reads: the encoder's own summary, or the mean over a text's tokens."""
    early_stopping_patience: Annotated[int, Field(ge=0, le=1000)] = 0
    """Epochs without a better validation Macro-F1 after which training ends with the best
    epoch's weights; 0 trains all epochs and keeps the last."""
    threshold_strategy: Literal[
        "fixed", "global", "per-label", "smoothed", "shrunk", "cross-fitted", "chosen"
    ] = "per-label"
    """Of a multilabel scheme's decisions; ``chosen`` picks one by cross-validation."""
    compute: Literal["auto", "fp32", "bf16"] = "fp32"
    """What matrix products of training are computed in; ``auto``: in bfloat16 where the processor has
    instructions for it, else in FP32. See `effective_compute`."""
    encoder: Mapping[str, Mapping[str, Any]] = {}
    """What differs for an encoder: tables ``[encoder.NAME]``."""
    scheme: Mapping[str, Mapping[str, Any]] = {}
    """What differs under a scheme: tables ``[scheme.NAME]``, which win over an encoder's."""

    @model_validator(mode="after")
    def _one_choice_of_weights(self) -> Recipe:
        if self.averaged_share and self.early_stopping_patience:
            raise ValueError(
                f"averaged_share {self.averaged_share:g} with early_stopping_patience "
                f"{self.early_stopping_patience}: the mean of the last steps or the best epoch's weights: set one to 0"
            )
        return self

    @model_validator(mode="after")
    def _tables_fit(self) -> Recipe:
        for kind, tables in (("encoder", self.encoder), ("scheme", self.scheme)):
            for name, changed in tables.items():
                try:
                    self._with(changed)
                except ValidationError as error:
                    raise ValueError(f"{kind}.{name}.{first_problem(error)}") from None
        return self

    def _with(self, changed: Mapping[str, Any]) -> Recipe:
        if misplaced := (_TABLES | {"name"}) & changed.keys():
            raise ValueError(f"{min(misplaced)}: cannot differ by encoder or scheme")
        return Recipe.model_validate(self.values() | {**changed})

    def for_cell(self, encoder: str, scheme: str) -> Recipe:
        """Return the recipe of an encoder under a scheme, with no tables left in it.

        An encoder with some of its layers takes the table of the whole, unless it has one of its own; the
        floor beside it changes nothing.
        """
        own = self.encoder.get(encoder.removesuffix(MIXED), self.encoder.get(base_of(encoder), {}))
        return self._with({**own, **self.scheme.get(scheme, {})})

    @property
    def needs_validation(self) -> bool:
        """Whether the weights depend on the validation split."""
        return self.early_stopping_patience > 0 or self.prior_shift != "none"

    def values(self) -> dict[str, Any]:
        """Return every value but the tables, for a record."""
        return self.model_dump(exclude=_TABLES)

    def training_facts(self) -> dict[str, Any]:
        """Return what the weights depend on, for the key that a checkpoint is kept under.

        A field at its default does not stand in it, so that a checkpoint is found again when the
        library has learned a further field; nor does the threshold strategy, which decides after
        training. What is computed in is what it means on this machine.

        Raises
        ------
        CheckpointError
            If this processor cannot compute as the recipe asks.
        """
        excluded = _TABLES | {"threshold_strategy", "compute"}
        facts = self.model_dump(exclude_defaults=True, exclude=excluded)
        compute = effective_compute(self)
        return facts if compute == "fp32" else facts | {"compute": compute}


def effective_compute(recipe: Recipe) -> Compute:
    """Return what a recipe's ``compute`` means on this machine.

    Raises
    ------
    CheckpointError
        If bfloat16 is asked for and would be emulated: that is slower than FP32, and less exact.
    """
    if recipe.compute == "fp32":
        return "fp32"
    if has_bf16():
        return "bf16"
    if recipe.compute == "auto":
        return "fp32"
    raise CheckpointError(
        f"recipe {recipe.name} has compute bf16, for which this processor has no instructions (avx512_bf16 or "
        "amx_bf16), or may not use them: set it to auto or fp32"
    )


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with the library."""
    folder = resources.files(__package__)
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))
    )


def load_recipe(name: str) -> Recipe:
    """Load a recipe.

    Parameters
    ----------
    name : str
        A name from `recipe_names`, or the path of a TOML file (its stem becomes the name). A file may say
        ``based_on`` and the name of a recipe, and then only what differs.

    Returns
    -------
    Recipe

    Raises
    ------
    CheckpointError
        If there is no such recipe, or a key is unknown, missing or out of range.
    """
    path, stem = (Path(name), Path(name).stem) if name.endswith(".toml") else (_bundled(name), name)
    content = _content(path)
    try:
        return Recipe(name=stem, **content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}") from None
    except TypeError as error:  # the name, given twice
        raise CheckpointError(f"{path}: not a recipe in TOML ({said(error)})") from None


def _bundled(name: str) -> Path:
    if name not in recipe_names():
        raise CheckpointError(
            unknown_name("recipe", name, recipe_names()) + ", or a path ending in .toml"
        )
    return Path(str(resources.files(__package__).joinpath(f"{name}.toml")))


def _content(path: Path) -> dict[str, Any]:
    """Return a file's values over those of the recipe that it is based on; of its tables, each as a whole."""
    text = read_text(path, error=CheckpointError, most_bytes=_MOST_BYTES)
    try:
        own = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a recipe in TOML ({said(error)})") from None
    if (base := own.pop("based_on", None)) is None:
        return own
    if not isinstance(base, str) or base not in recipe_names():
        raise CheckpointError(
            f"{path}: based_on: {unknown_name('recipe', str(base)[:40], recipe_names())}"
        )
    content = _content(_bundled(base))
    for kind in _TABLES & content.keys():
        tables = own.get(kind, {})
        if isinstance(tables, dict):  # what else it is, the recipe refuses
            own[kind] = content[kind] | tables
    return content | own


def recipe_toml(recipe: Recipe, *, comment: str = "") -> str:
    """Return a recipe as the text of a TOML file, which `load_recipe` reads back.

    Parameters
    ----------
    recipe : Recipe
    comment : str
        Stands above it, line by line.

    Examples
    --------
    >>> print(recipe_toml(load_recipe("study"), comment="A copy.").splitlines()[:2])
    ['# A copy.', 'epochs = 3']
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += _toml_lines(recipe.model_dump(exclude_defaults=True, exclude=_TABLES | {"name"}))
    for kind in sorted(_TABLES):
        for name, changed in getattr(recipe, kind).items():
            lines += ["", f"[{kind}.{json.dumps(name)}]", *_toml_lines(changed)]
    return "\n".join(lines) + "\n"


def _toml_lines(values: Mapping[str, Any]) -> list[str]:
    # Of the values that a recipe holds (text, integers, floats) JSON's form is TOML's too.
    return [f"{key} = {json.dumps(value)}" for key, value in values.items()]
