"""The manifest of a checkpoint: what was trained on what, and the sha256 of every file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from goemo_eval.data.words import MOST_LABELS, check_label_names, shown
from goemo_eval.errors import CheckpointError, DataError
from goemo_eval.files import read_json, sha256_of_file
from goemo_eval.frozen import EncoderName, Frozen
from goemo_eval.models.config import Kind
from goemo_eval.models.directory import WEIGHTS, decides
from goemo_eval.models.said import first_problem

MANIFEST = "goemo.json"
SCHEMA_VERSION = 2
LEAST_LENGTH = 8
MOST_LENGTH = 1_000_000
_MOST_BYTES = 16 << 20

Compute = Literal["fp32", "bf16"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=500)]


class Manifest(Frozen):
    """What ``goemo.json`` says."""

    model_config = ConfigDict(strict=True)

    schema_version: Literal[2] = 2
    model: Literal["transformers", "linear"]
    encoder: EncoderName
    scheme: Name
    kind: Kind
    labels: Annotated[list[str], Field(min_length=1, max_length=MOST_LABELS)]
    dominance: Name | None = None
    max_length: Annotated[int, Field(ge=0, le=MOST_LENGTH)]
    """Tokens to which texts are cut; 0 of a model that reads whole texts."""
    weights: Literal["pretrained", "random"]
    base_sha256: Sha256 | None = None
    recipe: dict[Text, Text | int | float | bool | None] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    train_sha256: Sha256 | None = None
    prior_shift: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    compute: Compute = "fp32"
    floor_weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of the floor's logits, where it stands beside the encoder."""
    notes: list[Text] = Field(default_factory=list, max_length=20)
    files: dict[str, Sha256] = Field(default_factory=dict, max_length=1000)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        try:
            check_label_names(self.labels, where="labels")
        except DataError as error:
            raise ValueError(str(error)) from None
        if self.model == "transformers" and self.max_length < LEAST_LENGTH:
            raise ValueError(f"max_length: {self.max_length}: expected {LEAST_LENGTH} or more")
        return self


def read_manifest(path: Path) -> Manifest:
    """Read a directory's manifest.

    Raises
    ------
    CheckpointError
        If it is no JSON, of another version, or says what no manifest may.
    """
    file = path / MANIFEST
    entry = read_json(file, error=CheckpointError, most_bytes=_MOST_BYTES)
    if not isinstance(entry, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got {type(entry).__name__}")
    if (version := entry.get("schema_version")) != SCHEMA_VERSION:
        raise CheckpointError(
            f"{file}: schema_version {shown(version)}: this goemo_eval reads "
            f"{SCHEMA_VERSION}: train again"
        )
    try:
        manifest = Manifest.model_validate(entry)
    except ValidationError as error:
        raise CheckpointError(f"{file}: {first_problem(error)}: train again") from None
    if not any(name.endswith(".safetensors") for name in manifest.files):
        raise CheckpointError(f"{file}: lists no weights ({WEIGHTS}): train again")
    return manifest


def verify_files(path: Path, files: dict[str, str]) -> None:
    """Compare a directory's files with their listed sha256.

    Raises
    ------
    CheckpointError
        Naming the first file that is missing, altered, outside the directory, or not listed though
        it would be read.
    """
    for name, expected in files.items():
        if Path(name).name != name or name in (".", "..", "") or not name.isprintable():
            raise CheckpointError(
                f"{path / MANIFEST}: lists {shown(name)}, which is no file beside it: train again"
            )
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name}: missing from the checkpoint: train again")
        if (found := sha256_of_file(path / name)) != expected:
            raise CheckpointError(
                f"{path / name}: altered since it was written (sha256 {found[:12]}, expected "
                f"{expected[:12]}): restore the file, or delete the directory to train again"
            )
    for file in sorted(path.iterdir()):
        if file.name not in files and decides(file.name):
            raise CheckpointError(f"{file}: not listed in {MANIFEST}: take it away")
