"""Real parts for the tests: the sample, MiniLM's weights, checkpoints and records made of them."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

from goemo_eval.measure.environment import Environment
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.scenarios import Latency, percentiles
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.schema import (
    Cell,
    Data,
    Record,
    Speedup,
    SplitData,
    SplitScores,
    WeightsEntry,
)

if TYPE_CHECKING:  # what a fixture needs it imports itself: most tests need no model and no data
    from goemo_eval.data.dataset import Split
    from goemo_eval.models.checkpoint import Checkpoint
    from goemo_eval.models.recipes import Recipe
    from goemo_eval.models.weights import Weights

# How long an example takes says how busy the machine is.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Tests of the plugin run pytest within pytest.
pytest_plugins = ("pytester",)

# The library never asks a server in tests; what needs the hub lays out its cache.
os.environ["HF_HUB_OFFLINE"] = "1"
# Threads that wait for one another by spinning take minutes for seconds beside another process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # the others have work for the other cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


LONG = (
    "pipeline/test_repair.py",
    "engines/test_registry.py",
    "deploy/test_exactness.py",
    "cli/test_run.py",
    "pipeline/test_steps.py",
    "tune/test_study.py",
    "tune/test_postgres.py",
    "bench/test_torch_versions.py",
    "test_pytest_plugin.py",
    "pipeline/test_mixing.py",
    "pipeline/test_probing.py",
    "pipeline/test_executors.py",
    "deploy/test_fresh.py",
    "models/test_torchrun.py",
    "cli/test_two_runs.py",
)
"""Files that take longest: they come first, so that no worker is left with one when the others have nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture(scope="module", autouse=True)
def _what_stands_is_not_looked_through() -> None:
    """Leave what is loaded by now to itself: Trainer collects after each run, and among a million objects of
    imported modules that takes longer than a tiny model's fine-tuning.

    What a module's own tests leave behind is collected, and complains, as ever.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def goemotions_dir() -> Path:
    """The real data set, or a skip that says how to provide it."""
    directory = os.environ.get("GOEMO_EVAL_DATA")
    if not directory:
        pytest.skip("set GOEMO_EVAL_DATA to a directory with the GoEmotions TSV files")
    return Path(directory).resolve()


@pytest.fixture(scope="session")
def sample() -> dict[str, Split]:
    from goemo_eval.data.sources import load_dataset

    return dict(load_dataset("sample").splits)


def head(split: Split, rows: int) -> Split:
    """The first rows of a split."""
    from goemo_eval.data.dataset import make_split
    from goemo_eval.data.goemotions import EMOTIONS

    return make_split(
        split.name, split.texts[:rows], split.labels[:rows], split.ids[:rows], label_names=EMOTIONS
    )


@pytest.fixture(scope="session")
def head_of() -> Callable[[Split, int], Split]:
    return head


@pytest.fixture(scope="session")
def short_sample(sample: dict[str, Split]) -> dict[str, Split]:
    """The sample cut to what a test can train and score in seconds."""
    return {name: head(split, 96) for name, split in sample.items()}


@pytest.fixture(scope="session")
def minilm_weights() -> Weights:
    from goemo_eval.models.encoders import get_encoder
    from goemo_eval.models.weights import find_weights

    weights = find_weights(get_encoder("minilm"))
    assert weights.kind == "pretrained", weights.reason
    return weights


@pytest.fixture(scope="session")
def quick_recipe() -> Recipe:
    from goemo_eval.models.recipes import load_recipe

    changed = {"name": "quick", "epochs": 1, "learning_rate": 3e-4, "pooling": "encoder"}
    return load_recipe("sample").model_copy(update=changed)


@pytest.fixture(scope="session")
def minilm_raw(
    tmp_path_factory: pytest.TempPathFactory,
    short_sample: dict[str, Split],
    minilm_weights: Weights,
    quick_recipe: Recipe,
) -> Checkpoint:
    """MiniLM's real weights, fine-tuned for a few steps on the sample."""
    from goemo_eval.data.schemes import get_scheme
    from goemo_eval.models.encoders import get_encoder
    from goemo_eval.models.training import fine_tune

    directory = tmp_path_factory.mktemp("minilm")
    return fine_tune(
        get_encoder("minilm"),
        get_scheme("raw"),
        short_sample["train"],
        recipe=quick_recipe,
        weights=minilm_weights,
        out=directory / "raw",
        partial=directory / "partial",
    )


TINY = {
    "vocab_size": 30522,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture(scope="session")
def tiny_weights_dir(tmp_path_factory: pytest.TempPathFactory, minilm_weights: Weights) -> Path:
    """A directory of weights as a user would bring: a one-layer BERT with a real tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    from goemo_eval.models.weights import load_tokenizer

    directory = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    BertModel(BertConfig(**TINY)).save_pretrained(directory)
    load_tokenizer(minilm_weights).save_pretrained(directory)
    return directory


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, Path], Path]:
    """Lay a directory into the cache of the hub's client, as if a commit had been downloaded."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))

    def lay(hub_id: str, revision: str, directory: Path) -> Path:
        snapshot = cache / f"models--{hub_id.replace('/', '--')}" / "snapshots" / revision
        snapshot.mkdir(parents=True)
        for file in directory.iterdir():
            (snapshot / file.name).symlink_to(file)
        return snapshot

    return lay


@pytest.fixture
def tsv_dir(tmp_path: Path, short_sample: dict[str, Split]) -> Callable[..., Path]:
    """Write splits as the published TSV files; keyword arguments replace a file's bytes."""

    def write(**replaced: bytes) -> Path:
        directory = tmp_path / "tsv"
        directory.mkdir(exist_ok=True)
        for name, file in (("train", "train"), ("validation", "dev"), ("test", "test")):
            content = replaced.get(file, tsv_bytes(short_sample[name]))
            (directory / f"{file}.tsv").write_bytes(content)
        return directory

    return write


def tsv_bytes(split: Split) -> bytes:
    """A split in the published form."""
    return "".join(
        f"{text}\t{','.join(str(i) for i in row.nonzero()[0])}\t{comment_id}\n"
        for text, row, comment_id in zip(split.texts, split.labels, split.ids, strict=True)
    ).encode()


@pytest.fixture(scope="session")
def replace_fields() -> Callable[..., Checkpoint]:
    return dataclasses.replace


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the workers of one test run share: what one has made, the others find."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-store"


@pytest.fixture(scope="session")
def project(
    tmp_path_factory: pytest.TempPathFactory, short_sample: dict[str, Split], tiny_weights_dir: Path
) -> Path:
    """Somebody's directory: short data, a run file that asks for a tiny encoder, and a store that fills up.

    Tests that share the store share its results: what one has made the next finds.
    """
    directory = tmp_path_factory.mktemp("project")
    (directory / "data").mkdir()
    for name, file in (("train", "train"), ("validation", "dev"), ("test", "test")):
        (directory / "data" / f"{file}.tsv").write_bytes(tsv_bytes(short_sample[name]))
    (directory / "brief.toml").write_text(
        "epochs = 1\nbatch_size = 32\nlearning_rate = 1e-2\nschedule = 'linear'\n"
        "weight_decay = 0.01\nwarmup_ratio = 0.1\nmax_length = 48\n"
    )
    (directory / "goemo.toml").write_text(
        f"""
[data]
source = "data"

[run]
encoders = ["tiny"]
weights = {{ tiny = "{tiny_weights_dir}" }}
schemes = ["raw"]
engines = ["torch"]
recipe = "brief.toml"
timing = "quick"
int8_repair = "never"
threads = 1
store = "store"
reports = "report"
"""
    )
    return directory


@dataclasses.dataclass(frozen=True)
class Measured:
    """A directory whose cells were measured once, with what that printed."""

    file: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def measured(project: Path) -> Measured:
    """`project` after its first run, in torch and in both precisions; its store has all of it."""
    from goemo_eval.cli.app import main

    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(["run", "--file", str(project / "goemo.toml")])
    return Measured(project / "goemo.toml", code, out.getvalue(), err.getvalue())


class Dies:
    """Called in a process of its own, it notes that it was and kills that process."""

    __name__ = "dies"

    def __init__(self, script: Path) -> None:
        self.script = script

    def __reduce__(self) -> tuple[Any, ...]:
        # No import: the server of forks was started without these tests on its path.
        return eval, (f"__import__('runpy').run_path({str(self.script)!r})['dies']",)


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Let a function that is called in a process of its own kill that process instead.

    Gives a context manager of a module and a function's name in it, which gives how often it was called.
    """
    script = tmp_path / "crash_here.py"
    script.write_text(
        "import os, signal\nfrom pathlib import Path\n\n\n"
        "def dies(*args, **kwargs):\n"
        f"    with Path({str(tmp_path / 'crashes')!r}).open('a') as file:\n"
        "        file.write('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    @contextmanager
    def replace(module: Any, name: str) -> Iterator[Callable[[], int]]:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, Dies(script))
            yield lambda: len((tmp_path / "crashes").read_text())

    return replace


LABELS = ("joy", "anger", "neutral")
QUIET = Load(load_start=0.1, load_end=0.2, taken_by_others=0.01, spread=0.02)


def latency_of(times_s: Sequence[float], *, load: Load = QUIET, **fields: Any) -> Latency:
    """Times of one batch each, of 32 texts."""
    base: dict[str, Any] = {
        "batch_size": 32,
        "threads": 2,
        "texts_sha256": "c" * 64,
        "batches": len(times_s),
        "times_s": tuple(times_s),
        "load": load,
        **percentiles(times_s),
    }
    return Latency(**base | fields)


@pytest.fixture(scope="session")
def make_latency() -> Callable[..., Latency]:
    return latency_of


TIMES = ("latency", "speedups", "offline")


@pytest.fixture(scope="session")
def timed_beside() -> Callable[..., Record]:
    """Return a record whose times, or those of the named fields, were taken beside a load."""

    def beside(record: Record, load: Load, *fields: str) -> Record:
        changed = {"load": load}
        found: dict[str, Any] = {}
        for field in fields or TIMES:
            times = getattr(record, field)
            if isinstance(times, dict):
                found[field] = {s: t.model_copy(update=changed) for s, t in times.items()}
            elif isinstance(times, tuple):
                found[field] = tuple(t.model_copy(update=changed) for t in times)
            elif times is not None:
                found[field] = times.model_copy(update=changed)
        return record.model_copy(update=found)

    return beside


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Build a record of a cell whose decisions are wrong with the given share."""

    def make(
        precision: str = "fp32", *, wrong: float = 0.2, scored: bool = True, **fields: Any
    ) -> Record:
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 3, 500)
        guess = np.where(rng.random(500) < wrong, (truth + 1) % 3, truth)
        scores = score_predictions(truth, guess, labels=LABELS)
        cell = Cell(encoder="minilm", scheme="simplified", engine="torch", precision=precision)
        base: dict[str, Any] = {
            "cell": cell,
            "kind": "multiclass",
            "labels": LABELS,
            "dominance": "frequent",
            "data": Data(
                name="sample",
                source="sample",
                revision=None,
                splits={
                    n: SplitData(sha256=n * 8, rows=500) for n in ("train", "validation", "test")
                },
            ),
            "weights": WeightsEntry(kind="pretrained", sha256="a" * 64, base_sha256="b" * 64),
            "recipe": {"name": "study", "epochs": 3, "learning_rate": 5e-5},
            "scores": SplitScores(validation=scores, test=scores) if scored else None,
            "unscored_reason": None if scored else "no pretrained weights",
            "latency": {"real": latency_of([0.1, 0.2, 0.3])},
            "split_latency_s": 2.0,
            "speedups": (
                Speedup(
                    reference=cell.at("fp32").id,
                    reference_s=(4.0, 4.4, 3.6),
                    candidate_s=(2.0, 2.0, 2.0),
                    load=QUIET,
                ),
            )
            if precision == "int8"
            else (),
            "decisions": pack_decisions(truth, guess, len(LABELS)) if scored else None,
            "parameters": 10,
            "size_bytes": 40,
            "environment": Environment(
                versions={"torch": "2.13.0"},
                python="CPython 3.11.7",
                platform="Linux x86_64",
                cpu_model="a cpu",
                isa_flags=("avx2",),
                engine_isa="AVX2",
                kernels="fp32",
                quantized_engine=None,
                threads=2,
                load_start=0.1,
                load_end=0.2,
                git_commit=None,
            ),
        }
        return Record(**base | fields)

    return make
