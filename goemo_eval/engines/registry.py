"""The engines by name, and the calls that convert a checkpoint for one and load what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from goemo_eval.cpu import NO_BF16, has_bf16_products
from goemo_eval.engines.artifact import Artifact, Variant, read_artifact
from goemo_eval.engines.base import Predictor
from goemo_eval.errors import EngineError, unknown_name
from goemo_eval.frozen import PRECISIONS, Precision
from goemo_eval.imports import large_imports

if TYPE_CHECKING:
    from goemo_eval.models.checkpoint import Checkpoint
    from goemo_eval.models.pretrained import Layer

LINEAR = "linear"
"""The engine that runs the floor, and nothing else; the floor runs on no other."""
ENTRY_POINTS = "goemo_eval.engines"
"""Group of entry points that add engines: each loads an `Engine`."""


@dataclass(frozen=True)
class Engine:
    """Where an engine is, and what it needs.

    Attributes
    ----------
    module : str
        Imported on use: ``converter(checkpoint, *, calibration, threads) -> Converter``,
        ``load(artifact, *, threads) -> Predictor`` and ``describe() -> str``.
    run_by : tuple of str
        Distributions that decide the bits of a forward pass.
    converted_by : tuple of str
        Distributions that decide what a checkpoint becomes.
    needed_to_load, needed_to_convert : tuple of str
        Modules that must be installed.
    extra : str
        The extra of this distribution that installs what conversion needs.
    calibrates : bool
        Whether INT8 ranges are fitted on training texts.
    smooths : bool
        Whether its INT8 spreads outliers by itself.
    traces : bool
        Whether conversion traces the model, which takes seconds, and can begin with the FP32 artifact in its place: then
        ``converter`` takes ``fp32``, too.
    precisions : tuple of str
        In which it multiplies.
    without : str
        Why not in the others.
    """

    module: str
    run_by: tuple[str, ...]
    converted_by: tuple[str, ...]
    needed_to_load: tuple[str, ...] = ()
    needed_to_convert: tuple[str, ...] = ()
    extra: str = ""
    calibrates: bool = False
    smooths: bool = False
    traces: bool = False
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    without: str = "it does not offer it"


class Converter(Protocol):
    """Writes any variant of one checkpoint, which it has loaded."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers, which INT8 may quantize or leave; empty where there is no choice."""
        ...

    def write(self, variant: Variant, out: Path) -> Artifact:
        """Write a variant's artifact into an empty directory."""
        ...


_OWN: Mapping[str, Engine] = {
    "torch": Engine(
        "goemo_eval.engines.torch",
        run_by=("torch", "torchao", "transformers", "tokenizers"),
        converted_by=("torch", "torchao", "transformers", "tokenizers"),
        needed_to_load=("torch", "transformers", "tokenizers"),
        needed_to_convert=("torch", "transformers", "tokenizers"),
        extra="bench",
        precisions=PRECISIONS,
    ),
    "onnxruntime": Engine(
        "goemo_eval.engines.onnxruntime",
        run_by=("onnxruntime", "tokenizers"),
        converted_by=("onnxruntime", "onnx", "onnxscript", "torch", "transformers", "tokenizers"),
        needed_to_load=("onnxruntime", "tokenizers"),
        needed_to_convert=("onnx", "onnxruntime", "onnxscript"),
        extra="onnxruntime",
        traces=True,
        without="ONNX Runtime has no matrix product of bfloat16 on x86",
    ),
    "openvino": Engine(
        "goemo_eval.engines.openvino",
        run_by=("openvino", "tokenizers"),
        converted_by=("openvino", "nncf", "torch", "transformers", "tokenizers"),
        needed_to_load=("openvino", "tokenizers"),
        needed_to_convert=("openvino", "nncf"),
        extra="openvino",
        calibrates=True,
        smooths=True,
        precisions=PRECISIONS,
    ),
    LINEAR: Engine(
        "goemo_eval.engines.linear",
        run_by=("numpy",),
        converted_by=("numpy", "scikit-learn"),
        needed_to_convert=("sklearn",),
        extra="bench",
        without="numpy, which runs the floor, has no bfloat16",
    ),
}


class _Engines(Mapping[str, Engine]):
    """Our engines, and those that other distributions bring."""

    def __getitem__(self, name: str) -> Engine:
        if name in _OWN:
            return _OWN[name]
        found: Engine = _brought()[name].load()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*_OWN, *_brought()]))

    def __len__(self) -> int:
        return len(list(iter(self)))


@cache
def _brought() -> Mapping[str, Any]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


ENGINES: Mapping[str, Engine] = _Engines()


def missing_engine(name: str) -> str | None:
    """Say what an engine lacks here to convert and run, with the command that installs it; or None."""
    engine = ENGINES[name]
    needed = dict.fromkeys([*engine.needed_to_convert, *engine.needed_to_load])
    return _missing(name, needed, f"'goemo-eval[{engine.extra}]'")


def _missing(name: str, modules: Collection[str], mend: str) -> str | None:
    missing = [module for module in modules if find_spec(module) is None]
    if not missing:
        return None
    return f"engine {name} needs {' and '.join(missing)}: pip install {mend}"


def refusal(engine: str, precision: str) -> str | None:
    """Say why an engine cannot multiply in a precision, at all or here; or None."""
    found = ENGINES[engine]
    if precision not in found.precisions:
        return f"engine {engine} has no {precision}: {found.without}"
    if precision == "bf16" and not has_bf16_products():
        return f"bf16: {NO_BF16}"
    return None


def _check_precision(engine: str, precision: str) -> None:
    if (reason := refusal(engine, precision)) is not None:
        raise EngineError(reason)


class _Checked:
    """A converter that writes what its engine can run here, and refuses the rest in a line."""

    def __init__(self, made: Converter, engine: str) -> None:
        self._made = made
        self._engine = engine

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._made.layers

    def write(self, variant: Variant, out: Path) -> Artifact:
        _check_precision(self._engine, variant.precision)
        return self._made.write(variant, out)


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise EngineError(unknown_name("engine", name, ENGINES))
    return ENGINES[name]


def converter(
    checkpoint: Checkpoint,
    engine: str,
    *,
    calibration: Sequence[str] = (),
    threads: int,
    fp32: Path | None = None,
) -> Converter:
    """Load a checkpoint for conversion into any number of variants.

    Parameters
    ----------
    checkpoint : Checkpoint
    engine : str
    calibration : sequence of str, default ()
        Training texts on which INT8 ranges are fitted, where the engine fits them.
    threads : int
        CPU threads.
    fp32 : Path, optional
        The FP32 artifact of the same checkpoint in the same engine, where there is one: what can begin with it does.

    Raises
    ------
    EngineError
        If the engine is unknown, not installed, or cannot take the checkpoint; or `fp32` is of another one.
    CheckpointError
        If the checkpoint is altered.
    """
    found = _engine(engine)
    if (reason := missing_engine(engine)) is not None:
        raise EngineError(reason)
    options: dict[str, Any] = {"calibration": calibration, "threads": threads}
    if found.traces and fp32 is not None:
        options["fp32"] = _twin(fp32, checkpoint, engine)
    made: Converter = import_module(found.module).converter(checkpoint, **options)
    if checkpoint.floor_weight is not None:
        from goemo_eval.engines.mixture import MixedConverter

        made = MixedConverter(made, checkpoint)
    return _Checked(made, engine)


def _twin(fp32: Path, checkpoint: Checkpoint, engine: str) -> Artifact:
    """Return an FP32 artifact, of this checkpoint and engine and no other."""
    found = read_artifact(fp32)
    is_of = (found.info.checkpoint_sha256, found.info.variant)
    if is_of != (checkpoint.content_sha256, Variant(engine=engine, precision="fp32")):
        raise EngineError(
            f"fp32: {fp32} is no FP32 artifact of {checkpoint.path} for {engine}: leave it out"
        )
    return found


def convert(
    checkpoint: Checkpoint,
    variant: Variant,
    out: Path,
    *,
    calibration: Sequence[str] = (),
    threads: int,
    fp32: Path | None = None,
) -> Artifact:
    """Convert a checkpoint into one variant's artifact; see `converter`."""
    _engine(variant.engine)
    _check_precision(variant.engine, variant.precision)  # before seconds of loading
    loaded = converter(
        checkpoint, variant.engine, calibration=calibration, threads=threads, fp32=fp32
    )
    return loaded.write(variant, out)


def load(artifact: Artifact | Path, *, threads: int) -> Predictor:
    """Load an artifact into its engine.

    Parameters
    ----------
    artifact : Artifact or Path
        A path is read and verified first.
    threads : int
        CPU threads of the forward pass; torch has one such number for the whole process.

    Raises
    ------
    EngineError
        If it is damaged, or its engine is unknown or not installed, or has not the precision here.
    """
    if isinstance(artifact, Path):
        artifact = read_artifact(artifact)
    name = artifact.info.variant.engine
    engine = _engine(name)
    # A server needs no converter: the packages themselves, not the engine's extra.
    needed = engine.needed_to_load
    if (reason := _missing(name, needed, " ".join(needed))) is not None:
        raise EngineError(reason)
    _check_precision(name, artifact.info.variant.precision)
    with large_imports():
        loaded: Predictor = import_module(engine.module).load(artifact, threads=threads)
    if artifact.info.floor_weight is None:
        return loaded
    from goemo_eval.engines.mixture import beside_floor

    return beside_floor(loaded, artifact)


def describe_engine(name: str) -> str:
    """Say in a line what an engine can do on this machine."""
    text: str = import_module(ENGINES[name].module).describe()
    return text
