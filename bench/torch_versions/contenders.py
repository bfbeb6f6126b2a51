"""Interpreters with a torch of their own, and what is run in each."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goemo_eval.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]
"""Children run here, so that all of them run this checkout, whatever they have installed."""
_ASK = (
    "import json; from goemo_eval.measure.environment import python_version, versions; "
    "print(json.dumps({'python': python_version(), 'versions': versions()}))"
)
_TOLD_APART = {"python": "{}", "transformers": "transformers {}", "tokenizers": "tokenizers {}"}
_COUNTS = re.compile(r"(?:\d+ [a-z]+, )*\d+ [a-z]+ in \S+s")


@dataclass(frozen=True)
class Contender:
    """An interpreter.

    Attributes
    ----------
    label : str
        The version of its torch, and what else of it differs from the reference.
    path : Path
    python : str
        Name and version, such as ``CPython 3.11.7``.
    versions : dict of str to str
        Of the packages that a result may depend on.
    """

    label: str
    path: Path
    python: str
    versions: dict[str, str]

    @property
    def slug(self) -> str:
        """The label as a file's name."""
        return re.sub(r"[^\w.]+", "-", self.label)


def ask(paths: Sequence[Path]) -> list[Contender]:
    """Return the interpreters, told apart; the first is the reference.

    Raises
    ------
    OptionError
        If one lacks the library's dependencies, or two of them are the same.
    """
    answers = [_answer(path) for path in paths]
    contenders = [
        Contender(_label(answer, answers[0]), path, answer["python"], answer["versions"])
        for path, answer in zip(paths, answers, strict=True)
    ]
    labels = [contender.label for contender in contenders]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise OptionError(f"--python: two interpreters have torch {twice[0]}: leave one out")
    return contenders


def _answer(path: Path) -> dict[str, Any]:
    try:
        done = subprocess.run([str(path), "-c", _ASK], capture_output=True, text=True, cwd=ROOT)  # noqa: S603, PLW1510 - an interpreter that the user names; its exit is read below
    except OSError as error:
        raise OptionError(f"--python {path}: cannot be run ({error.strerror})") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise OptionError(
            f"--python {path}: lacks what the library needs ({said}): pip install there what tox.ini "
            "installs, or name an environment of tox: .tox/py-torch214/bin/python"
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    if "torch" not in answer["versions"]:
        raise OptionError(f"--python {path}: has no torch: pip install it there")
    return answer


def _label(answer: dict[str, Any], reference: dict[str, Any]) -> str:
    ours, theirs = ({"python": one["python"], **one["versions"]} for one in (answer, reference))
    words = [answer["versions"]["torch"]]
    words += [
        said.format(ours.get(name, "none"))
        for name, said in _TOLD_APART.items()
        if ours.get(name) != theirs.get(name)
    ]
    return ", ".join(words)


def score(
    contender: Contender, *, checkpoint: Path, data: str, engines: Sequence[str], kept: Path
) -> Path:
    """Run the cells of a checkpoint by one thread, and return their records.

    INT8 is left as it is converted: a repair, which keeps layers in FP32 until the loss is small, would
    hide what a version does.

    Raises
    ------
    OptionError
        If the run failed.
    """
    options = {
        "--data": data,
        "--checkpoint": f"minilm-raw={checkpoint}",
        "--schemes": "raw",
        "--engines": ",".join(engines),
        "--precisions": "fp32,int8",
        "--train": "never",
        "--int8-repair": "never",
        "--timing": "off",
        "--threads": "1",
        "--store": str(kept / "store"),
        "--reports": str(kept / "reports"),
    }
    words = [str(contender.path), "-m", "goemo_eval", "run"]
    for name, value in options.items():
        words += [name, value]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603, PLW1510 - as above; its progress goes to the terminal
    if done.returncode not in (0, 1):  # 1: a budget was broken, which is no matter here
        raise OptionError(f"torch {contender.label}: its run failed, exit code {done.returncode}")
    return kept / "reports" / "records.json"


def test(contender: Contender, paths: Sequence[str]) -> dict[str, Any]:
    """Run tests of the library, and return how they ended.

    Returns
    -------
    dict
        ``exit``, pytest's exit code; ``counts``, such as ``5 failed, 90 passed``; ``failed``, their names.
    """
    words = [str(contender.path), "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)  # noqa: S603, PLW1510 - as above
    return {"exit": done.returncode, **outcome(done.stdout)}


def outcome(output: str) -> dict[str, Any]:
    """Read what pytest printed at its end."""
    lines = output.strip().splitlines()
    closing = next((found for line in reversed(lines) if (found := _COUNTS.search(line))), None)
    counts = closing.group().rpartition(" in ")[0] if closing else "no test ended"
    failed = [line.split(" ", 2)[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return {"counts": counts, "failed": failed}
