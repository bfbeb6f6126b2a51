"""A server's virtual environment: the built wheel with the extra ``deploy``, no torch, and bundles that answer.

tox builds the wheel; elsewhere these tests skip.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.deploy.bundle import load_bundle
from goemo_eval.deploy.rows import json_of
from goemo_eval.records.schema import Record

BundleOf = Callable[[str], tuple[Path, Record]]
WHEEL = os.environ.get("TOX_PACKAGE", "")
pytestmark = pytest.mark.skipif(not WHEEL, reason="needs the built wheel: python -m tox run -e py")
TEXTS = ["I was charged twice", "", "thank you so much 😂"]
OWN = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
"""The environment's variables, but those by which it would find what the tests' own Python has."""
HEAVY = ("torch", "transformers", "scipy", "scikit-learn", "pandas", "datasets", "matplotlib")


@pytest.fixture(scope="module")
def bin_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds what `deploy` needs, and nothing else."""
    place = tmp_path_factory.mktemp("server") / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    found = place / ("Scripts" if os.name == "nt" else "bin")
    words = [found / "python", "-m", "pip", "-q", "install", f"{WHEEL}[deploy]"]
    subprocess.run(words, check=True, env=OWN)
    return found


def run(*words: object, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, cwd=cwd, env=OWN
    )


def test_nothing_heavy_is_installed(bin_dir: Path) -> None:
    listed = run(bin_dir / "python", "-m", "pip", "list", "--format=json")
    names = {entry["name"].lower() for entry in json.loads(listed.stdout)}
    assert {"goemo-eval", "onnxruntime", "tokenizers", "numpy"} <= names
    assert not names & set(HEAVY)


@pytest.mark.parametrize("cell_id", ["tfidf-raw-linear-int8", "minilm-raw-onnxruntime-int8"])
def test_it_answers_as_where_it_was_measured(
    bin_dir: Path, bundle_of: BundleOf, cell_id: str
) -> None:
    path = bundle_of(cell_id)[0]
    ended = run(bin_dir / "goemo-eval", "predict", path, *TEXTS, "--json", "--threads", 2)
    assert ended.returncode == 0, ended.stderr
    expected = [json_of(found, None) for found in load_bundle(path, threads=2).predict(TEXTS)]
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        {**entry, "labels": list(entry["labels"])} for entry in expected
    ]


PEAK = """
import sys
from goemo_eval.cli.app import main
from goemo_eval.measure.memory import peak_rss_bytes
assert main(["predict", sys.argv[1], "I was charged twice"]) == 0
assert "torch" not in sys.modules
print(peak_rss_bytes())
"""


def test_int8_minilm_answers_below_200_mb(bin_dir: Path, bundle_of: BundleOf) -> None:
    ended = run(bin_dir / "python", "-c", PEAK, bundle_of("minilm-raw-onnxruntime-int8")[0])
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) < 200e6


@pytest.mark.parametrize(
    ("cell_id", "said"),
    [
        ("tiny-raw-openvino-int8", "openvino needs openvino: pip install openvino tokenizers"),
        ("tiny-raw-torch-fp32", "torch needs torch and transformers: pip install torch"),
    ],
)
def test_a_bundle_of_an_engine_that_is_not_installed(
    bin_dir: Path, bundle_of: BundleOf, cell_id: str, said: str
) -> None:
    ended = run(bin_dir / "goemo-eval", "predict", bundle_of(cell_id)[0], "a text")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_readme_as_written(bin_dir: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    text = (root / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Take it home\n")[2].partition("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    measured = lines[: lines.index("pip install '.[deploy]'")]
    served = lines[len(measured) + 1 :]
    assert [len(measured), len(served)] == [3, 2]
    # Where it is measured, and then on the server: both have installed what the section says.
    shutil.copytree(root / "examples", tmp_path / "examples")
    here = Path(sys.executable).parent
    for commands, where in ((measured[1:], here), (served, bin_dir)):
        for command in commands:
            path = f"{where}{os.pathsep}{os.environ['PATH']}"
            given = {**OWN, "PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
            ended = subprocess.run(
                command,
                shell=True,
                cwd=tmp_path,
                env=given,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
    code = section.partition("```python\n")[2].partition("```")[0]
    assert run(bin_dir / "python", "-c", code, cwd=tmp_path).stdout == "('billing',)\n"
    assert (tmp_path / "labels.jsonl").read_text().count("\n") == 600


def test_the_other_commands_say_what_they_need(bin_dir: Path, bundle_of: BundleOf) -> None:
    shown = run(bin_dir / "goemo-eval", "--help")
    assert shown.returncode == 0
    assert "recommend" in shown.stdout
    words = ["train", "--encoder", "tfidf", "--scheme", "raw"]
    ended = run(bin_dir / "goemo-eval", *words)
    assert ended.returncode == 2
    assert "which is not installed: pip install 'goemo-eval[bench]'" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
