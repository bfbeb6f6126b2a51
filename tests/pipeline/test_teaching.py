"""Teachers of a student: computed once, part of its key, and refused where they cannot teach."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.engines.classifier import load_classifier
from goemo_eval.errors import CheckpointError, OptionError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.cross_fitting import unseen_logits
from goemo_eval.models.manifest import MANIFEST
from goemo_eval.pipeline.cells import matrix
from goemo_eval.pipeline.fitting import Run, fit
from goemo_eval.pipeline.keys import DistilKey, FitKey
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.store import Store
from goemo_eval.pipeline.teaching import learned, lessons_of
from goemo_eval.records.schema import Cell
from goemo_eval.run_file import read_options

CELL = Cell(encoder="tiny", scheme="raw", engine="torch", precision="fp32")


@pytest.fixture(scope="module")
def untaught(plan: Plan, kept: Path) -> Run:
    """Where the teacher lies: the shared store."""
    return Run(plan, Store(kept))


@pytest.fixture(scope="module")
def teacher(untaught: Run) -> Checkpoint:
    """A fine-tuned checkpoint."""
    return fit(untaught, CELL).checkpoint


@pytest.fixture(scope="module")
def student(plan: Plan, teacher: Checkpoint) -> Plan:
    """Learns from it and from the floor."""
    recipe = plan.recipe.model_copy(update={"name": "taught", "teacher_weight": 0.5})
    return dataclasses.replace(
        plan, recipe=recipe, teachers={"raw": (teacher.path,)}, floor_teaches=True
    )


@pytest.fixture(scope="module")
def taught(student: Plan, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has fitted the student."""
    run = Run(student, Store(tmp_path_factory.mktemp("taught")))
    fit(run, CELL)
    return run


def altered(checkpoint: Checkpoint, out: Path, **changed: object) -> Path:
    """A copy whose manifest says something else."""
    shutil.copytree(checkpoint.path, out)
    manifest = json.loads((out / MANIFEST).read_text())
    (out / MANIFEST).write_text(json.dumps(manifest | changed))
    return out


def test_lessons_are_computed_once_and_are_what_the_teachers_say(
    taught: Run, teacher: Checkpoint
) -> None:
    assert taught.store.made == {"lessons": 2, "checkpoints": 1}
    own = fit(taught, CELL).checkpoint
    assert own.content_sha256 != teacher.content_sha256
    assert set(own.notes) == {
        f"taught by tiny-raw, sha256 {teacher.content_sha256[:12]}",
        "taught by tfidf, cross-fitted in 5 parts",
    }
    again = Run(taught.plan, Store(taught.store.root))
    assert fit(again, CELL).checkpoint.content_sha256 == own.content_sha256
    assert not again.store.made
    fit(again, CELL.model_copy(update={"seed": 1}))
    assert again.store.made == {"checkpoints": 1}

    task = taught.plan.task("raw")
    said = load_classifier(teacher.path, threads=taught.plan.threads).logits(task.texts["train"])
    expected = (said.astype(np.float64) + unseen_logits(task)) / 2
    found = learned(taught.store, lessons_of(taught.plan, "raw"))
    assert found is not None
    np.testing.assert_allclose(found.logits, expected, rtol=1e-6)


def test_a_damaged_lesson_is_given_again(taught: Run, tmp_path: Path) -> None:
    before = learned(taught.store, lessons_of(taught.plan, "raw"))
    shutil.copytree(taught.store.root, tmp_path / "store")
    [file] = (tmp_path / "store" / "lessons").glob("tiny-*/content/*.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    store = Store(tmp_path / "store")
    after = learned(store, lessons_of(taught.plan, "raw"))
    assert before is not None
    assert after is not None
    assert after.sha256 == before.sha256
    assert store.made == {"lessons": 1}


def test_the_key_of_a_student_names_its_teachers_and_that_of_others_does_not(
    taught: Run, teacher: Checkpoint
) -> None:
    path = fit(taught, CELL).checkpoint.path.parent
    key = DistilKey.model_validate_json((path / "key.json").read_text())
    assert {each.checkpoint_sha256 for each in key.teachers} == {None, teacher.content_sha256}
    assert key.recipe is not None
    assert key.recipe["teacher_weight"] == 0.5
    warmer = key.model_copy(update={"recipe": {**key.recipe, "teacher_temperature": 2.0}})
    other = key.teachers[0].model_copy(update={"train_sha256": "0" * 64})
    fewer = key.model_copy(update={"teachers": key.teachers[:1]})
    changed = key.model_copy(update={"teachers": (other, *key.teachers[1:])})
    assert len({each.digest for each in (key, warmer, fewer, changed)}) == 4
    # A checkpoint without teachers is found under the key that it had before there were any.
    assert "teachers" not in FitKey.model_fields


def test_the_order_of_teachers_is_none(student: Plan, teacher: Checkpoint, tmp_path: Path) -> None:
    other = altered(teacher, tmp_path / "other", max_length=24)
    orders = [(teacher.path, other), (other, teacher.path), (other, teacher.path, other)]
    found = [
        lessons_of(dataclasses.replace(student, teachers={"raw": order}), "raw") for order in orders
    ]
    assert len(found[0]) == 3
    assert len({tuple(lesson.key.digest for lesson in lessons) for lessons in found}) == 1


def test_teachers_that_cannot_teach_are_refused(
    untaught: Run, student: Plan, teacher: Checkpoint, tmp_path: Path
) -> None:
    def refused(path: Path, scheme: str = "raw") -> str:
        plan = dataclasses.replace(student, teachers={scheme: (path,)})
        with pytest.raises(CheckpointError) as raised:
            lessons_of(plan, scheme)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    floor_cell = CELL.model_copy(update={"encoder": "tfidf", "engine": "linear"})
    floor = fit(untaught, floor_cell).checkpoint
    assert "knows its training texts by heart: pass --teacher tfidf" in refused(floor.path)
    assert "was trained as multilabel" in refused(teacher.path, "simplified")
    untrained = altered(teacher, tmp_path / "random", weights="random")
    assert "was never trained: pass a fine-tuned checkpoint" in refused(untrained)
    test = student.dataset.splits["test"].sha256
    told = altered(teacher, tmp_path / "told", train_sha256=test)
    assert "was trained on the test split, which the student is scored on" in refused(told)
    assert "no such checkpoint directory" in refused(tmp_path / "nowhere")

    turned = tmp_path / "turned"  # the same labels in another order, in config and manifest
    labels = [*reversed(teacher.labels)]
    altered(teacher, turned, labels=labels)
    config = json.loads((turned / "config.json").read_text())
    config |= {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    (turned / "config.json").write_text(json.dumps(config))
    (turned / MANIFEST).unlink()
    assert "the labels are the same in another order" in refused(turned)


def test_what_a_teacher_has_learned_from_is_said_where_it_is_not_known(
    student: Plan, teacher: Checkpoint, tmp_path: Path
) -> None:
    elsewhere = altered(teacher, tmp_path / "elsewhere", train_sha256="1" * 64)
    plain = altered(teacher, tmp_path / "plain")
    (plain / MANIFEST).unlink()
    plan = dataclasses.replace(student, teachers={"raw": (elsewhere, plain)}, floor_teaches=False)
    notes = sorted(lesson.note for lesson in lessons_of(plan, "raw"))
    assert "if it has learned from texts of validation or test, scores are too high" in notes[0]
    assert "was trained on another split" in notes[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"recipe": "distil"},
            "recipe distil learns from teachers, and scheme raw has none: pass ",
        ),
        ({"teacher": ["tfidf"]}, "--teacher tfidf: no cell learns from it: pass --recipe distil"),
        ({"teacher": ["tfidf"], "recipe": "distil", "encoders": "tfidf"}, "no cell learns from it"),
        ({"teacher": ["simplified=."], "recipe": "distil"}, "scheme raw has none"),
        ({"teacher": ["tfidf", "simplified=."], "recipe": "distil"}, "--teacher simplified="),
        ({"teacher": ["minilm"], "recipe": "distil"}, "minilm: expected SCHEME=DIR or tfidf"),
        ({"teacher": ["row=."], "recipe": "distil"}, "unknown scheme 'row'"),
        ({"teacher": ["raw=nowhere"], "recipe": "distil"}, "raw=nowhere: no such directory"),
    ],
)
def test_teachers_and_students_belong_together(given: dict[str, object], said: str) -> None:
    options = {"encoders": "minilm", "schemes": "raw", "engines": "torch,linear"} | given
    with pytest.raises(OptionError if "nowhere" not in said else CheckpointError) as raised:
        matrix(read_options(options, run_file=None))
    assert said in str(raised.value)


def test_a_run_file_names_teachers_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "goemo.toml").write_text(
        "[run]\nencoders = ['minilm']\nschemes = ['raw']\nrecipe = 'distil'\n"
        "teacher = ['tfidf', 'raw=a', 'raw=b']\n"
    )
    for name in "ab":
        (tmp_path / name).mkdir()
    plan = matrix(read_options({}, run_file=tmp_path / "goemo.toml")).plan
    assert plan.teachers == {"raw": (tmp_path / "a", tmp_path / "b")}
    assert plan.floor_teaches
