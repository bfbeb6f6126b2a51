from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import goemo_eval
from goemo_eval.cli.app import main
from goemo_eval.records.files import dump_records, read_records

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "command",
    [
        None,
        "init",
        "run",
        "train",
        "evaluate",
        "report",
        "recommend",
        "gate",
        "power",
        "tune",
        "export",
        "predict",
        "doctor",
        "store",
    ],
)
def test_help_is_worth_reading(capsys: Capture, command: str | None) -> None:
    code, out, _ = run(capsys, *([command] if command else []), "--help")
    assert code == 0
    assert len(out.split()) > 40


def test_version(capsys: Capture) -> None:
    assert run(capsys, "--version")[:2] == (0, f"{goemo_eval.__version__}\n")


CELL = ("--encoder", "tfidf", "--scheme", "raw")
DIGITS = "9" * 5000
DEEP = "[" * 100_000
WORDS = [
    (["gat"], "No such command 'gat'"),
    (["gate", "--baselin", "x"], "No such option"),
    (["gate", "--baseline", "nowhere.json", "--candidate", "x"], "nowhere.json: cannot read"),
    (["train", "--scheme", "raw"], "Missing option '--encoder'"),
    (["train", "--encoder", "bart", "--scheme", "raw"], "unknown encoder 'bart'"),
    (["train", "--encoder", "../../x", "--scheme", "raw"], "../../x"),
    (["train", "--encoder", "A B", "--scheme", "raw"], "A B"),
    (["train", "--encoder", "", "--scheme", "raw"], "encoder"),
    (["train", "--encoder", "minilm", "--scheme", "rwa"], "unknown scheme 'rwa'"),
    (["train", *CELL, "--data", "nowhere"], "nowhere"),
    (["train", *CELL, "--recipe", "x"], "unknown recipe 'x'"),
    (["train", *CELL, "--threads", "99999999999999999999"], "--threads"),
    (["train", *CELL, "--threads", DIGITS], "--threads"),
    (["train", *CELL, "--threads", "٣"], "--threads"),
    (["train", *CELL, "--seed", "99999999999999999999"], "--seed"),
    (["train", *CELL, "--seed", "-1"], "--seed"),
    (["train", *CELL, "--dominance", "loudest"], "--dominance loudest"),
    (["train", *CELL, "--weights", "tfidf"], "expected NAME=DIR"),
    (
        ["train", *CELL, "--weights", "minilm=nowhere"],
        "--weights minilm=nowhere: no such directory",
    ),
    (["train", *CELL, "--split-seed", "-1"], "--split-seed -1"),
    (["train", *CELL, "--isa", "sse"], "--isa sse"),
    (["train", *CELL, "--data", "hub:nobody"], "hub:nobody"),
    (["train", *CELL, "--data", "/dev/zero"], "/dev/zero"),
    (["evaluate", *CELL, "--precision", "int4"], "unknown precision 'int4'"),
    (["evaluate", *CELL, "--engine", "x"], "unknown engine 'x'"),
    (["evaluate", *CELL, "--isa", "sse"], "--isa sse"),
    (["evaluate", *CELL, "--checkpoint", "nowhere"], "no such directory"),
    (["evaluate", "--encoder", "../x", "--scheme", "raw", "--checkpoint", "."], "../x"),
    (["evaluate", "--encoder", "A B", "--scheme", "raw", "--checkpoint", "."], "A B"),
    (["evaluate", "--encoder", "", "--scheme", "raw", "--checkpoint", "."], "expected"),
    (["evaluate", *CELL, "--file", "nowhere.toml"], "nowhere.toml"),
    (["evaluate", *CELL, "--max-length", "1"], "--max-length 1"),
    (["evaluate", *CELL, "--max-length", "many"], "--max-length many"),
    (["run", "--encoders", "nobody"], "unknown encoder 'nobody'"),
    (["run", "--encoders", "tfidf", "--engines", "tensorrt"], "unknown engine 'tensorrt'"),
    (["run", "--schemes", "rwa"], "unknown scheme 'rwa'"),
    (["run", "--precisions", "fp32,int4"], "unknown precision 'int4'"),
    (["run", "--baseline", "nowhere.json"], "nowhere.json"),
    (["run", "--budgets", "nowhere.toml"], "nowhere.toml"),
    (["run", "--alpha", "nan"], "--alpha nan"),
    (["run", "--alpha", "0.5"], "--alpha 0.5"),
    (["run", "--max-drop", "inf"], "--max-drop inf"),
    (["run", "--max-drop", "-0.1"], "--max-drop -0.1"),
    (["run", "--seeds", "1,x"], "--seeds 1,x"),
    (["run", "--seeds", ""], "--seeds"),
    (["run", "--seeds", "99999999999999999999"], "--seeds"),
    (["run", "--seeds", "१"], "--seeds"),
    (["run", "--gpus-per-cell", "nan"], "--gpus-per-cell nan"),
    (["run", "--executor", "slurm"], "--executor slurm"),
    (["run", "--timing", "never"], "--timing never"),
    (["run", "--train", "perhaps"], "--train perhaps"),
    (["run", "--int8-repair", "yes"], "--int8-repair yes"),
    (["run", "--thresholds", "best"], "unknown strategy 'best'"),
    (["run", "--checkpoint", "mine"], "expected NAME=DIR"),
    (["run", "--checkpoint", "mine=."], "expected ENCODER-SCHEME=DIR"),
    (["run", "--checkpoint", "mine-rwa=."], "unknown scheme 'rwa'"),
    (["run", "--checkpoint", "mine-raw=.", "--seeds", "1,2"], "one seed"),
    (["run", "--encoders", "tfidf", "--weights", "mine=."], "mine"),
    (["run", "--store", "/dev/null"], "/dev/null: no directory"),
    (["run", "--name", "a\x1b[31mb"], "\\x1b[31m"),
    (["run", "--text", "body", "--data", "rows.csv"], "rows.csv"),
    (["run", "--labels", "a,b", "--data", "rows.csv"], "rows.csv"),
    (["run", "--fallback", "calm"], "calm"),
    (["run", "--names", "nowhere.txt", "--data", "rows.csv"], "nowhere.txt"),
    (["recommend", "nowhere.json"], "nowhere.json: cannot read"),
    (["recommend", "records.json", "--max-p95-ms", "nan"], "nan"),
    (["report", "nowhere.json", "--out", "x"], "nowhere.json: cannot read"),
    (["report", "nowhere.json", "--out", "x", "--format", "pdf"], "unknown format 'pdf'"),
    (["power", "nowhere.json"], "nowhere.json"),
    (["export", "a-b-c-d", "--records", "nowhere.json", "--out", "x"], "nowhere.json"),
    (["predict", "nowhere", "a text"], "nowhere"),
    (["predict", "nowhere"], "one of the two"),
    (["init", "nowhere.csv"], "nowhere.csv"),
    (["init", "/dev/zero"], "/dev/zero"),
    (["init", "rows.csv", "--out", "rows.csv"], "rows.csv: exists already"),
    (["tune", "nowhere.toml", *CELL], "nowhere.toml"),
    (["tune", "rows.csv", *CELL, "--sampler", "bayes"], "unknown sampler 'bayes'"),
    (["store", "--store", "rows.csv"], "no directory"),
    (["store", "--store", "."], "holds something else"),
    (["store", "clean", "--store", "."], "holds something else"),
    (["doctor", "--file", "nowhere.toml"], "nowhere.toml: cannot read"),
    (["baseline", "show", "nowhere.json"], "nowhere.json: cannot read"),
]


@pytest.mark.parametrize(("words", "message"), WORDS)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: Capture, words: list[str], message: str, somewhere: Path
) -> None:
    assert message in mistake(capsys, *words)


RECIPE = "batch_size = 32\nlearning_rate = 1e-3\nschedule = 'linear'\nweight_decay = 0.01\nwarmup_ratio = 0.1\n"
FILES = [
    ("recipe", "epochs = 999999999999\nmax_length = 48\n" + RECIPE, "epochs"),
    ("recipe", f"epochs = {DIGITS}\nmax_length = 48\n" + RECIPE, "x.toml"),
    ("recipe", "epochs = true\nmax_length = 48\n" + RECIPE, "epochs"),
    ("recipe", "epochs = 1.5\nmax_length = 48\n" + RECIPE, "epochs"),
    ("recipe", "epochs = 1\nmax_length = -1\n" + RECIPE, "max_length"),
    ("recipe", "epochs = 1\nmax_length = 48\nspeed = 3\n" + RECIPE, "speed"),
    ("recipe", "epochs = 1\n", "x.toml"),
    ("recipe", "epochs = nan\n", "x.toml"),
    ("recipe", "epochs =", "not a recipe in TOML"),
    ("recipe", "a = " + DEEP, "x.toml"),
    ("recipe", "epochs = 1979-05-27\n" + RECIPE, "x.toml"),
    ("budgets", "sample = []\n", "sample"),
    ("budgets", 'cells."x" = 3\n', 'cells."x"'),
    ("budgets", f"min_macro_f1 = {DIGITS}\n", "x.toml"),
    ("budgets", "[cells.minlm-raw-torch-int8]\nmin_macro_f1 = 0.1\n", "unknown encoder 'minlm'"),
    ("budgets", "[cells.tfidf-rwa-torch-int8]\nmin_macro_f1 = 0.1\n", "unknown scheme 'rwa'"),
    ("budgets", "[cells.tfidf-raw-linaer-int8]\nmin_macro_f1 = 0.1\n", "unknown engine 'linaer'"),
    ("budgets", "[another]\nmin_macro_f1 = 0.1\n", "no budgets for data set 'sample'"),
    ("budgets", "min_macro_f1 = 1.5\n", "min_macro_f1"),
    ("budgets", "min_macro_f1 = nan\n", "min_macro_f1"),
    ("budgets", "min_macro_f1 = true\n", "min_macro_f1"),
    ("budgets", "max_size_mb = -1\n", "max_size_mb"),
    ("budgets", "max_size = 1\n", "unknown limit 'max_size'"),
    ("budgets", "a = " + DEEP, "x.toml"),
    ("budgets", "min_macro_f1 = 0.1\nmin_macro_f1 = 0.2\n", "not TOML"),
    ("file", "seeds", "not TOML"),
    ("file", "[run]\nencoder = 'tfidf'\n", "unknown key 'encoder'"),
    ("file", "[race]\n", "unknown table 'race'"),
    ("file", "run = 3\n", "expected a table [run]"),
    ("file", "[run]\nseeds = [true]\n", "run.seeds"),
    ("file", "[run]\nseeds = [0.5]\n", "run.seeds"),
    ("file", f"[run]\nthreads = {DIGITS}\n", "x.toml"),
    ("file", "[run]\nthreads = 1979-05-27\n", "run.threads"),
    ("file", "[run]\nencoders = 3\n", "run.encoders"),
    ("file", "[gate]\nmax_drop = nan\n", "gate.max_drop"),
    ("file", "[gate]\nbaseline = 'nowhere.json'\n", "nowhere.json"),
    ("file", "[budgets]\nmax_size = 1\n", "[budgets]: unknown limit 'max_size'"),
    ("file", "[budgets.cells.tfdf-raw-linear-int8]\nmax_size_mb = 1\n", "unknown encoder 'tfdf'"),
    ("file", "[encoders]\nmine = 3\n", "[encoders.mine]: expected the lines"),
    ("file", "[encoders.mine]\nmodel_type = 3\n", "[encoders.mine]: model_type: Input should"),
    ("file", "[encoders.mine]\nmodel = 'bert'\n", "[encoders.mine]: model_type: Field required"),
    ("file", "[encoders.tfidf]\nmodel_type = 'bert'\n", "[encoders.tfidf]: an encoder of this"),
    ("file", "[schemes.mine]\na = ['nobody']\n", "nobody"),
    ("file", "[schemes.raw]\na = ['joy']\n", "raw"),
    ("file", "[schemes]\nmine = 3\n", "schemes"),
    ("file", "[data]\nsource = 'nowhere.csv'\n", "nowhere.csv"),
    ("file", "[data]\nsource = { train = 'nowhere.csv' }\n", "train"),
    ("file", "[data]\nsource = 3\n", "data.source"),
    ("file", "[data]\nsource = 'rows.csv'\ntext = 'body'\n", "rows.csv"),
    ("file", "[data]\nsource = 'rows.csv'\ndrop_shared = 'perhaps'\n", "data.drop_shared"),
    ("file", "a = " + DEEP, "x.toml"),
]


@pytest.mark.parametrize(("option", "text", "message"), FILES)
def test_a_malformed_file_is_one_line_and_exit_code_2(
    capsys: Capture, option: str, text: str, message: str, somewhere: Path
) -> None:
    (somewhere / "x.toml").write_text(text)
    own = [] if option == "file" else ["--encoders", "tfidf"]
    assert message in mistake(capsys, "run", *own, f"--{option}", "x.toml")


@pytest.fixture
def somewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_record: Callable[..., Any]
) -> Path:
    """A directory with a few files of somebody's, to be in."""
    (tmp_path / "rows.csv").write_text("subject,kind\nhelp,a\n")
    (tmp_path / "records.json").write_text(dump_records([make_record()]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistake(capsys: Capture, *words: object) -> str:
    """The one line that a mistake ends in."""
    code, out, err = run(capsys, *words)
    assert code == 2, err
    assert not out
    (line,) = err.splitlines()
    assert line.startswith("goemo-eval: ")
    assert line.isprintable()
    assert len(line) < 2000
    return line


def test_a_fault_of_our_own_is_no_regression(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a slip")

    monkeypatch.setattr("goemo_eval.doctor.examine", broken)
    code, _, err = run(capsys, "doctor")
    assert code == 2
    assert "RuntimeError: a slip" in err
    assert err.splitlines()[-1].startswith("goemo-eval: this is a fault of goemo-eval's own")


def test_what_came_from_a_file_cannot_steer_the_terminal(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[31mred.json"
    code, _, err = run(capsys, "recommend", path)
    assert code == 2
    assert "\x1b" not in err


@pytest.fixture
def floor_project(
    tmp_path: Path, tsv_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory with data and a run file."""
    data = tsv_dir()
    (tmp_path / "goemo.toml").write_text(
        f'[data]\nsource = "{data.name}"\n[run]\nencoders = ["tfidf"]\nschemes = ["raw"]\n'
        'timing = "quick"\nstore = "store"\nreports = "report"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_data_to_a_prediction(capsys: Capture, floor_project: Path) -> None:
    code, out, err = run(capsys, "run")
    assert code == 0, err
    assert out.strip().endswith("report/report.md")
    records = floor_project / "report" / "records.json"
    assert [r.cell.id for r in read_records(records)] == [
        "tfidf-raw-linear-fp32",
        "tfidf-raw-linear-int8",
    ]
    code, out, err = run(
        capsys,
        "export",
        "tfidf-raw-linear-int8",
        "--records",
        records,
        "--store",
        "store",
        "--out",
        "bundle",
    )
    assert code == 0, err
    code, out, _ = run(capsys, "predict", "bundle", "thank you so much", "--json")
    assert code == 0
    assert len(json.loads(out)["scores"]) == 28
    assert run(capsys, "gate", "--baseline", records, "--candidate", records)[0] == 0
    assert run(capsys, "recommend", records)[0] == 0


def test_one_cell_from_the_command_line(capsys: Capture, floor_project: Path) -> None:
    code, out, err = run(capsys, "evaluate", *CELL, "--json")
    assert code == 0, err
    (floor_project / "one.json").write_text(out)
    (record,) = read_records(floor_project / "one.json")
    assert record.latency["single"].times_s
    code, out, err = run(capsys, "evaluate", *CELL, "--precision", "int8")
    assert "Macro-F1 test" in out
    # What a user should know of the data, as the whole run says it.
    assert "no labels.txt beside the files" in err
    code, out, _ = run(capsys, "train", *CELL, "--out", "mine")
    assert code == 0
    assert (floor_project / "mine" / "goemo.json").is_file()
    assert run(capsys, "train", *CELL, "--out", "mine")[0] == 2


def test_doctor(capsys: Capture, somewhere: Path) -> None:
    (somewhere / "rows.csv").write_text(
        "text,labels\n" + "".join(f"text {i},{'xy'[i % 2]}\n" for i in range(40))
    )
    (somewhere / "goemo.toml").write_text(
        "[data]\nsource = 'rows.csv'\n[run]\nstore = 'kept'\nweights = { mine = '.' }\n"
    )
    code, out, _ = run(capsys, "doctor")
    assert code == 2  # the weights
    for words in (
        "machine isa flags",
        "machine threads",
        "engine torch torch",
        "INT8 by",
        "weights minilm pretrained, from package",
        "weights mine broken",
        "weights tfidf needs none",
        "data sample 1,190 / 325 / 332 rows",
        "2 labels",
        "run file goemo.toml read",
        "store kept 0.0 MB",
        "albert: pass --weights albert=DIR",
    ):
        assert words in " ".join(out.split())
    code, out, _ = run(capsys, "doctor", "--data", "nowhere", "--json")
    assert code == 2
    findings = json.loads(out)
    assert {"machine", "version", "engine", "weights", "data", "run file", "store"} == {
        f["topic"] for f in findings
    }
    (lost,) = [f for f in findings if f["name"] == "nowhere"]
    assert lost["state"] == "not usable"
    assert "nowhere" in lost["mend"]
    (somewhere / "goemo.toml").write_text(
        f"[data]\nsource = 'rows.csv'\n[run]\nencoders = ['tfidf', 'hub:some/encoder@{'0' * 40}']\n"
    )
    code, out, _ = run(capsys, "doctor")
    assert code == 2
    assert "of the hub: hub:some/encoder@000000000000: the hub is out of reach" in out
    (somewhere / "goemo.toml").write_text("[data]\nsource = 'rows.csv'\n")
    assert run(capsys, "doctor")[0] == 0


def test_the_store_is_listed_and_swept(capsys: Capture, measured: Any, tmp_path: Path) -> None:
    store = shutil.copytree(measured.file.parent / "store", tmp_path / "store")
    (artifact,) = (store / "artifacts").glob("tiny-raw-torch-int8-*")
    altered = artifact / "content" / "artifact.json"
    altered.write_bytes(altered.read_bytes() + b" ")
    common = ["--file", measured.file, "--store", store]
    assert run(capsys, "run", *common, "--precisions", "int8", "--reports", tmp_path / "r")[0] == 0
    held, free = store / "partial" / "a-held", store / "partial" / "b-free"
    for directory in (held, free):
        directory.mkdir(parents=True)
        (directory / "state").write_bytes(b"x" * 1_000_000)
    (store / "work" / "99999999-dead").mkdir()
    (store / "work" / "99999999-dead.lock").touch()

    code, out, _ = run(capsys, "store", "--store", store)
    assert code == 0
    assert out.splitlines()[0] == str(store)
    said = {line.split()[0]: line.split()[1:4] for line in out.splitlines()[1:]}
    assert said["partial"] == ["2", "2.0", "MB"]
    assert said["damaged"][0] == "1"
    results = [said[kind][0] for kind in ("checkpoints", "artifacts", "logits", "scores")]

    with (store / "work" / "key-a-held.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out, _ = run(capsys, "store", "clean", "--store", store)
    assert code == 0
    assert "removed 1 of damaged" in out
    assert "removed 1 of partial, 1.0 MB" in out
    assert held.is_dir()
    assert not free.exists()
    assert not (store / "work" / "99999999-dead").exists()
    _, out, _ = run(capsys, "store", "--store", store)
    said = {line.split()[0]: line.split()[1:4] for line in out.splitlines()[1:]}
    assert [said[kind][0] for kind in ("checkpoints", "artifacts", "logits", "scores")] == results
    assert "made nothing" in run(capsys, "run", *common, "--reports", tmp_path / "r")[2]
