"""Export writes all of a bundle or nothing; what is not whole is refused in a line; every text has an answer."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.deploy import exporting
from goemo_eval.deploy.bundle import Bundle, load_bundle
from goemo_eval.deploy.description import BundleInfo, read_bundle
from goemo_eval.deploy.exporting import describe_cell, export_artifact, write_bundle
from goemo_eval.engines.registry import ENGINES
from goemo_eval.errors import BundleError, DataError, EngineError
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.steps import artifact
from goemo_eval.records.schema import Record

BundleOf = Callable[[str], tuple[Path, Record]]
CopyOf = Callable[[str], Path]
FLOOR, ONNX = "tfidf-raw-linear-int8", "tiny-raw-onnxruntime-int8"


@pytest.fixture(scope="module")
def floor(bundle_of: BundleOf) -> Bundle:
    return load_bundle(bundle_of(FLOOR)[0])


def change(path: Path, **fields: Any) -> None:
    entry = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps(entry | fields))


def listed(path: Path, name: str, sha256: str | None) -> None:
    files = json.loads((path / "bundle.json").read_text())["files"]
    change(path, files={**files, name: sha256 or files[min(files)]})


def test_a_bundle_says_what_the_record_says(small_run: Run, bundle_of: BundleOf) -> None:
    path, record = bundle_of(ONNX)
    info = read_bundle(path)
    assert record.scores is not None
    assert record.thresholds is not None
    assert record.served is not None
    assert (info.cell, info.labels) == (ONNX, record.labels)
    assert info.thresholds == record.thresholds.values
    assert info.scores.macro_f1 == record.scores.test.macro_f1
    assert info.scores.macro_f1_interval.low <= info.scores.macro_f1
    assert info.scores.served is not None
    assert info.scores.served.agreement == record.served.agreement
    assert info.tokens is not None
    assert info.tokens.max_length == 48
    assert info.data.rows == {"train": 96, "validation": 96, "test": 96}
    assert info.times.threads == 2
    assert info.versions["onnxruntime"]
    files = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in path.iterdir()}
    assert info.files == {name: sha for name, sha in files.items() if name != "bundle.json"}


def test_export_writes_all_or_nothing(
    small_run: Run, bundle_of: BundleOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, record = bundle_of(FLOOR)
    files = artifact(small_run, record.cell).content
    with pytest.raises(BundleError, match="exists already"):
        export_artifact(record, files, path)
    out = tmp_path / "new" / "bundle"
    kept_umask = os.umask(0o022)
    try:
        assert export_artifact(record, files, out) == out
    finally:
        os.umask(kept_umask)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in path.iterdir()
    }
    modes = {stat.S_IMODE(p.stat().st_mode) for p in out.iterdir()}
    assert modes == {0o644}  # a server is not the user who measured
    assert stat.S_IMODE(out.stat().st_mode) == 0o755

    def full(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "sha256_of_file", full)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(files, read_bundle(path), tmp_path / "new" / "other")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["bundle"]


def test_only_what_was_measured_is_exported(
    small_run: Run, bundle_of: BundleOf, tmp_path: Path
) -> None:
    _, record = bundle_of(FLOOR)
    other = artifact(small_run, record.cell.at("fp32")).content
    with pytest.raises(BundleError, match="not the artifact that was measured"):
        describe_cell(record, other)
    unscored = record.model_copy(update={"scores": None, "unscored_reason": "no weights"})
    with pytest.raises(BundleError, match=r"was not scored \(no weights\)"):
        describe_cell(unscored, other)
    own = artifact(small_run, record.cell).content
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in own.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "vocabulary.json").unlink()
    with pytest.raises(EngineError, match=r"vocabulary\.json: missing"):
        describe_cell(record, copy)


def test_a_file_that_is_altered_or_missing_is_named(copy_of: CopyOf) -> None:
    path = copy_of(ONNX)
    for name in ("model.onnx", "tokenizer.json", "artifact.json"):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(BundleError, match=rf"{name}: altered since it was written"):
            load_bundle(path)
        (path / name).unlink()
        with pytest.raises(BundleError, match=rf"{name}: missing"):
            load_bundle(path)
        os.mkfifo(path / name)
        with pytest.raises(BundleError, match=rf"{name}: missing, or no regular file"):
            load_bundle(path)
        (path / name).unlink()
        (path / name).write_bytes(content)
    load_bundle(path)


def test_the_card_is_the_users_and_what_is_not_listed_is_not_read(copy_of: CopyOf) -> None:
    path = copy_of(FLOOR)
    (path / "README.md").write_text("---\nlicense: mit\n---\n")
    (path / "LICENSE").write_text("as you like")
    (path / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    assert load_bundle(path).predict(["thanks"])
    (path / "README.md").unlink()
    assert load_bundle(path).predict(["thanks"])


def test_links_are_followed_to_the_listed_bits(copy_of: CopyOf, tmp_path: Path) -> None:
    path = copy_of(FLOOR)
    blob = tmp_path / "blob"
    (path / "model.safetensors").rename(blob)
    (path / "model.safetensors").symlink_to(blob)  # as the hub's cache keeps files
    assert load_bundle(path).predict(["thanks"])
    (path / "model.safetensors").unlink()
    (path / "model.safetensors").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(path)


@pytest.mark.parametrize(
    "name", ["../bundle.json", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "bundle.json"]
)
def test_a_name_that_leaves_the_directory(copy_of: CopyOf, name: str) -> None:
    path = copy_of(FLOOR)
    listed(path, name, None)
    with pytest.raises(BundleError, match="no file of this directory"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["a\0b", "\x1b[2J", "gone.bin"])
def test_a_name_that_is_no_file(copy_of: CopyOf, name: str) -> None:
    path = copy_of(FLOOR)
    listed(path, name, None)
    with pytest.raises(BundleError, match="missing"):
        load_bundle(path)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schema_version": 2}, "schema_version '2': this goemo_eval reads 1: upgrade it"),
    ({"schema_version": "1"}, "schema_version"),
    ({"schema_version": True}, "schema_version"),
    ({"thresholds": None}, "thresholds belong to a multilabel scheme"),
    ({"thresholds": [0.5]}, "1 thresholds for 28 labels"),
    ({"thresholds": ["0.5"] * 28}, r"thresholds\.0"),
    ({"thresholds": [1.5] * 28}, r"thresholds\.0"),
    ({"labels": []}, "labels"),
    ({"labels": ["joy"] * 28}, "a label stands twice"),
    ({"labels": "joy"}, "labels"),
    ({"kind": "other"}, "kind"),
    ({"files": {"model.safetensors": "abc"}}, "files"),
    ({"files": {}}, "do not belong together"),
    ({"engine": "torch"}, "do not belong together (they differ in engine)"),
    ({"precision": "fp32"}, "do not belong together (they differ in precision)"),
    ({"artifact_sha256": "0" * 64}, "do not belong together"),
    ({"code": "x"}, "code"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=lambda value: str(value)[:30])
def test_a_description_that_is_wrong(copy_of: CopyOf, fields: dict[str, Any], said: str) -> None:
    path = copy_of(FLOOR)
    change(path, **fields)
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    assert said.replace("\\", "") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "schema_version"),
        (b"\xff\xfe{", "not UTF-8"),
        (b'{"schema_version": 1, "schema_version": 1}', "stands twice"),
        (b'{"schema_version": NaN}', "no number of JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_description_that_is_none(copy_of: CopyOf, content: bytes, said: str) -> None:
    path = copy_of(FLOOR)
    (path / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=said):
        load_bundle(path)
    (path / "bundle.json").unlink()
    with pytest.raises(BundleError, match=r"bundle\.json: cannot read"):
        load_bundle(path)


def test_where_there_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        load_bundle(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="no such bundle"):
        load_bundle(tmp_path / "file")


def test_parts_of_two_bundles(bundle_of: BundleOf, copy_of: CopyOf) -> None:
    path = copy_of(FLOOR)
    other = bundle_of("tfidf-raw-linear-fp32")[0]
    for name in ("artifact.json", "model.safetensors"):
        (path / name).write_bytes((other / name).read_bytes())
        listed(path, name, hashlib.sha256((path / name).read_bytes()).hexdigest())
    with pytest.raises(BundleError, match="do not belong together"):
        load_bundle(path)


def test_an_engine_that_is_not_installed(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "goemo_eval.engines.registry.find_spec", lambda name: None if "onnx" in name else name
    )
    with pytest.raises(BundleError, match=r"needs onnxruntime: pip install"):
        load_bundle(bundle_of(ONNX)[0])


def test_a_package_that_is_not_installed(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def lacking(name: str, *more: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "safetensors":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(BundleError, match="linear needs the package safetensors, which is not"):
        load_bundle(bundle_of(FLOOR)[0])


def test_threads_are_one_or_more(bundle_of: BundleOf) -> None:
    for threads in (0, -1):
        with pytest.raises(BundleError, match=f"1 or more: got {threads}"):
            load_bundle(bundle_of(FLOOR)[0], threads=threads)
    assert load_bundle(bundle_of(ONNX)[0], threads=1).predict(["thanks"])


@pytest.mark.parametrize("cell_id", [FLOOR, ONNX])
def test_texts_of_all_kinds_have_an_answer(bundle_of: BundleOf, cell_id: str) -> None:
    bundle = load_bundle(bundle_of(cell_id)[0])
    texts = [
        "",
        "\0",
        " \n\t",
        "a\0b",
        "😂" * 50,
        "word " * 200_000,
        "x" * 1_000_000,
        "\ufffe\u200b",
    ]
    found = bundle.predict(texts)
    assert len(found) == len(texts)
    for prediction in found:
        assert list(prediction.scores) == list(bundle.info.labels)
        assert all(0 <= score <= 1 for score in prediction.scores.values())
        assert list(prediction.labels) == [
            k for k in prediction.top(None) if k in prediction.labels
        ]
    assert bundle.predict([]) == []
    assert bundle.predict(()) == []
    assert bundle.probabilities([]).shape == (0, len(bundle.info.labels))


@pytest.mark.parametrize("cell_id", [FLOOR, ONNX])
def test_what_is_no_text_is_named(bundle_of: BundleOf, cell_id: str) -> None:
    bundle = load_bundle(bundle_of(cell_id)[0])
    with pytest.raises(TypeError, match=r"pass \[text\]"):
        bundle.predict("one text")
    with pytest.raises(TypeError, match="text 1 is NoneType"):
        bundle.predict(["fine", None])  # type: ignore[list-item]
    with pytest.raises(DataError, match="text 2: half a surrogate pair at character 3"):
        bundle.predict(["fine", "fine", "abc\ud83d"])


def test_equal_logits_of_a_multiclass_bundle_are_the_first_ones(bundle_of: BundleOf) -> None:
    bundle = load_bundle(bundle_of("tfidf-simplified-linear-int8")[0])
    logits = np.zeros((2, len(bundle.info.labels)), dtype=np.float32)
    logits[1, 5] = np.float32(1e-30)  # its exponential is the others' to the last bit
    assert [row.nonzero()[0].tolist() for row in bundle.decide(logits)] == [[0], [5]]


def test_the_most_probable_come_first(floor: Bundle) -> None:
    (found,) = floor.predict(["thank you so much, I love it"])
    best = found.top(3)
    assert list(best.values()) == sorted(found.scores.values(), reverse=True)[:3]


def test_every_engine_has_a_batch_rule(bundle_of: BundleOf) -> None:
    rules = {name: read_bundle(bundle_of(cell)[0]).batch_rule for name, cell in _one_each().items()}
    assert set(rules) == set(ENGINES)
    assert rules["linear"].order == "as-given"
    assert rules["torch"].texts == 32
    assert rules["onnxruntime"].padded_tokens == rules["openvino"].padded_tokens


def _one_each() -> dict[str, str]:
    tiny = {engine: f"tiny-raw-{engine}-fp32" for engine in ("torch", "onnxruntime", "openvino")}
    return {"linear": FLOOR, **tiny}


def test_a_description_is_a_value(bundle_of: BundleOf) -> None:
    info = read_bundle(bundle_of(FLOOR)[0])
    assert BundleInfo.model_validate_json(info.model_dump_json()) == info
