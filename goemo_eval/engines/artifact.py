"""An artifact: a directory with all that a server needs of a cell, and the description that proves it.

``artifact.json`` says what was converted from what, and the sha256 of every other file. Scores,
times, memory and size are of the artifact; a bundle is a copy of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from goemo_eval.errors import EngineError
from goemo_eval.files import read_json, sha256_of_file, write_atomic
from goemo_eval.frozen import Frozen, Precision

DESCRIPTION = "artifact.json"
SCHEMA_VERSION = 1


class Variant(Frozen):
    """How a checkpoint is converted: what stands between the weights and the numbers."""

    engine: str
    precision: Precision
    smoothed: bool = False
    """Outliers spread by exact rescaling before INT8 (`goemo_eval.engines.smoothing`)."""
    kept_fp32: tuple[str, ...] = ()
    """Linear layers that stay in FP32 under INT8, by the names of torch's modules."""


class TokensInfo(Frozen):
    """How texts become token ids (`goemo_eval.engines.tokens`)."""

    max_length: Annotated[int, Field(ge=2)]
    """Tokens to which texts are cut, special ones included."""
    vocabulary: Annotated[int, Field(ge=1)]
    """Rows of the embedding table."""
    pad_id: Annotated[int, Field(ge=0)]
    pad_type_id: Annotated[int, Field(ge=0)] = 0
    padding_side: Literal["right", "left"] = "right"
    type_ids: bool = False
    """Whether the model is given token types: only where they are not all zero."""
    folded: bool = False
    """Ids are folded into the vocabulary: of the stand-in tokenizer of random weights only."""


class ArtifactInfo(Frozen):
    """What ``artifact.json`` says."""

    schema_version: Literal[1] = 1
    variant: Variant
    engine_version: str
    """Of the package that converted it."""
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    parameters: Annotated[int, Field(ge=0)]
    """Trainable parameters of the FP32 model."""
    int8_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the linear layers' weights that are INT8."""
    kernels: str
    """The matrix kernels that it was made for, in words."""
    quantized_engine: str | None = None
    """Backend of the INT8 kernels; None in FP32."""
    dot_products: bool = True
    """Whether INT8 was made for a CPU with dot-product instructions (8 bits), or without (7)."""
    tokens: TokensInfo | None = None
    """None where the model reads texts, not token ids."""
    floor_weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of the floor's logits, where it stands beside the encoder (`goemo_eval.engines.mixture`)."""
    checkpoint_sha256: str
    """Content of the checkpoint that it was converted from."""
    files: dict[str, str] = Field(default_factory=dict)
    """Name -> sha256, of every other file."""


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk."""

    path: Path
    info: ArtifactInfo

    @property
    def size_bytes(self) -> int:
        """Bytes of all files in the directory."""
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())


def describe(path: Path, info: ArtifactInfo) -> None:
    """Write the description of a directory that holds everything else already."""
    files = {
        file.name: sha256_of_file(file)
        for file in sorted(path.iterdir())
        if file.is_file() and file.name != DESCRIPTION
    }
    text = info.model_copy(update={"files": files}).model_dump_json(indent=1)
    write_atomic(path / DESCRIPTION, (text + "\n").encode())


def read_artifact(path: Path) -> Artifact:
    """Read an artifact's description and verify its files.

    Raises
    ------
    EngineError
        If it is none, of another schema, or a file is missing, unlisted, elsewhere, or altered.
    """
    info = read_info(path)
    verify_files(path, info.files, described_by=DESCRIPTION)
    return Artifact(path, info)


def read_info(path: Path) -> ArtifactInfo:
    """Read an artifact's description, without a look at its other files.

    Raises
    ------
    EngineError
        If it is none, or of another schema.
    """
    entry = read_json(path / DESCRIPTION, error=EngineError, most_bytes=1 << 24)
    version = entry.get("schema_version") if isinstance(entry, dict) else None
    if version != SCHEMA_VERSION:
        raise EngineError(
            f"{path / DESCRIPTION}: schema_version {version!r}: this goemo_eval reads {SCHEMA_VERSION}: "
            "export the cell again"
        )
    try:
        return ArtifactInfo.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise EngineError(f"{path / DESCRIPTION}: {at}: {first['msg']}") from None


def verify_files(path: Path, files: dict[str, str], *, described_by: str) -> None:
    """Compare a directory's files with their listed sha256.

    Raises
    ------
    EngineError
        Naming the first file that is missing, altered, not listed, or outside the directory.
    """
    for name, expected in files.items():
        if Path(name).name != name:
            raise EngineError(f"{path / described_by}: lists {name!r}, which leaves the directory")
        file = path / name
        if file.is_symlink() or not file.is_file():
            raise EngineError(f"{file}: missing: make it again")
        if (found := sha256_of_file(file)) != expected:
            raise EngineError(
                f"{file}: altered since it was written (sha256 {found[:12]}, expected "
                f"{expected[:12]}): make it again"
            )
    for file in path.iterdir():
        if file.name not in files and file.name != described_by:
            raise EngineError(f"{file}: not listed in {described_by}: take it away")
