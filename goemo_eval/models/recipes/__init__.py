"""Fine-tuning recipes: small TOML files that are copied and changed, and what reads them."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goemo_eval.errors import CheckpointError, unknown_name


class Recipe(BaseModel):
    """Every value of a fine-tuning run but the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    """Peak rate of AdamW."""
    schedule: Literal["constant", "linear"]
    """After the warm-up the rate stays, or falls linearly to zero."""
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)]
    """Share of all steps over which the rate rises from zero."""
    max_length: Annotated[int, Field(ge=8, le=512)]
    """Tokens to which texts are cut."""


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
        A name from `recipe_names`, or the path of a TOML file (its stem becomes the name).

    Returns
    -------
    Recipe

    Raises
    ------
    CheckpointError
        If there is no such recipe, or a key is unknown, missing or out of range.
    """
    if name.endswith(".toml"):
        path, stem = Path(name), Path(name).stem
    elif name in recipe_names():
        path, stem = Path(str(resources.files(__package__).joinpath(f"{name}.toml"))), name
    else:
        raise CheckpointError(
            unknown_name("recipe", name, recipe_names()) + ", or a path ending in .toml"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Recipe(name=stem, **values)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the recipe ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise CheckpointError(f"{path}: not a recipe in TOML ({error})") from None
