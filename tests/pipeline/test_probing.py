"""``--engines auto``: a real probe of a tiny encoder, and what a run, the plugin and a report make of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.cli.app import main
from goemo_eval.cpu import cpu
from goemo_eval.engines import registry
from goemo_eval.errors import EngineError, OptionError
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.probe import Probe, Probed
from goemo_eval.options import Options
from goemo_eval.pipeline import probing
from goemo_eval.pipeline.cells import matrix
from goemo_eval.pipeline.probing import FILE, probe_key, shortlist
from goemo_eval.pipeline.store import Store
from goemo_eval.records.files import read_records
from goemo_eval.run_file import read_options

Out = tuple[int, str, str]
NEURAL = ("torch", "onnxruntime", "openvino")
BOTH = ("fp32", "int8")


def test_real_engines_are_probed_once_and_their_times_are_kept(run_of: Any, tmp_path: Path) -> None:
    run = run_of(store=tmp_path / "store", threads=1)
    found = shortlist(run.plan, "tiny", BOTH, store=run.store)
    listed = {(each.engine, each.precision) for each in (*found.chosen, *found.left_out)}
    assert listed == {(engine, precision) for engine in NEURAL for precision in BOTH}
    assert found.refused == {}
    assert found.threads == 1
    assert run.store.made == {"probes": 1}

    entry = run.store.find(probe_key(run.plan, "tiny", BOTH))
    assert entry is not None
    probe = Probe.model_validate_json((entry.content / FILE).read_bytes())
    assert (probe.cpu_model, probe.isa_flags) == cpu()
    again = run_of(store=tmp_path / "store", threads=1)
    assert shortlist(again.plan, "tiny", BOTH, store=again.store) == found
    assert not again.store.made


def test_what_decides_a_probe_is_in_its_key(run_of: Any) -> None:
    one, two = run_of(threads=1).plan, run_of(threads=2).plan
    key = probe_key(one, "tiny", BOTH)
    assert key.engines == NEURAL
    assert key.config["hidden_size"] == 16
    assert key.config["vocab_size"] == probing.VOCABULARY
    assert {"torch", "onnxruntime", "openvino", "nncf", "goemo-eval"} <= key.versions.keys()
    assert key.cpu_model == cpu()[0]
    for other in (
        probe_key(two, "tiny", BOTH),
        probe_key(one, "tiny", ("int8",)),
        probe_key(one, "minilm", BOTH),
    ):
        assert other.digest != key.digest
    # With some of its layers or the floor beside it, an encoder has the same kernels.
    assert probe_key(one, "minilm@3+tfidf", BOTH) == probe_key(one, "minilm", BOTH)
    # What a brought checkpoint looks like is read from it, whatever it is called.
    brought = {("mine@1+tfidf", "raw"): one.weights["tiny"]}
    assert probe_key(run_of(checkpoints=brought, threads=1).plan, "mine@1+tfidf", BOTH) == key


def test_an_architecture_that_cannot_be_built_is_refused_in_a_line(run_of: Any) -> None:
    run = run_of()
    broken = probing.Encoder(name="mine", model_type="bert", config={"hidden_size": "wide"})
    plan = run_of(encoders={"mine": broken}).plan
    with pytest.raises(Exception, match="encoder mine: transformers cannot build bert"):
        shortlist(plan, "mine", BOTH, store=run.store)


def test_a_probe_that_dies_says_to_name_engines(run_of: Any, crashing: Callable[..., Any]) -> None:
    run = run_of(threads=2)
    with (
        crashing(probing, "convert_stack"),
        pytest.raises(EngineError, match=r"the probe of tiny failed .*killed.*: name engines"),
    ):
        shortlist(run.plan, "tiny", ("fp32",), store=run.store)


# What follows is about the choice, not the clock: a probe of made-up times lies in the store under its real key.
QUICK = {("torch", "fp32"): 2.0, ("torch", "int8"): 1.0}


@pytest.fixture
def auto(measured: Any, tmp_path: Path) -> Path:
    """A run file that asks for auto, over a store in which torch's cells and a probe lie."""
    file = tmp_path / "goemo.toml"
    text = measured.file.read_text().replace('engines = ["torch"]', 'engines = ["auto"]')
    for name in ("data", "brief.toml", "store"):
        text = text.replace(f'"{name}"', f'"{measured.file.parent / name}"')
    file.write_text(text)
    lay(read_options({}, run_file=file), QUICK)
    return file


def lay(options: Options, seconds: Mapping[tuple[str, str], float]) -> None:
    """Put a probe into the store that a run of these options will find."""
    found = matrix(options)
    key = probe_key(found.plan, "tiny", [*{cell.precision for cell in found.cells}])
    probe = Probe(
        cpu_model=key.cpu_model,
        isa_flags=key.isa_flags,
        isa_limit=key.isa_limit,
        threads=key.threads,
        cells=tuple(
            Probed(engine=engine, precision=precision, batch_s=(s,) * 3, single_s=(s,) * 3)
            for (engine, precision), s in (
                ((e, p), seconds.get((e, p), 5.0)) for e in key.engines for p in key.precisions
            )
        ),
        load=Load(load_start=0.1, load_end=0.1),
    )
    assert options.store is not None
    store = Store(options.store)
    store.get_or(key, lambda out: _write(out / FILE, probe.model_dump_json()))
    store.close()


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Out]:
    def goemo_eval(*words: object) -> Out:
        capsys.readouterr()
        code = main([*map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return goemo_eval


def test_a_run_measures_what_was_chosen_and_its_records_and_report_say_why(
    call: Callable[..., Out], auto: Path
) -> None:
    code, _, err = call("run", "--file", auto, "--timing", "off")
    assert code == 0, err
    assert "tiny: --engines auto measures torch INT8 (quickest over batches, quickest" in err
    records = read_records(auto.parent / "report" / "records.json")
    assert [r.cell.id for r in records] == ["tiny-raw-torch-fp32", "tiny-raw-torch-int8"]
    for record in records:
        assert record.engines is not None
        assert record.engines.asked == "auto"
        assert record.engines.pairs == (("torch", "int8"), ("torch", "fp32"))
        assert {each.engine for each in record.engines.left_out} == {"onnxruntime", "openvino"}
    report = (auto.parent / "report" / "report.md").read_text()
    assert "**torch INT8** (quickest over batches, quickest for one text)" in report
    assert "**torch FP32** (the FP32 that torch INT8 is held against)" in report
    assert (
        "openvino INT8 (5.0 times as long as torch INT8 over batches and 5.0 times as long for one text"
        in report
    )


def test_the_plugin_collects_what_was_chosen(pytester: pytest.Pytester, auto: Path) -> None:
    pytester.makepyfile("def test_it(goemo_cell):\n    assert goemo_cell\n")
    words = ("--goemo", "--goemo-file", auto, "-p", "no:cacheprovider")
    result = pytester.runpytest_inprocess(*words, "--goemo-engines", "auto", "--collect-only", "-q")
    result.stdout.fnmatch_lines(
        ["*test_it*tiny-raw-torch-fp32*", "*test_it*tiny-raw-torch-int8*", "2 tests collected*"]
    )


def test_an_engine_that_is_not_installed_is_left_out_with_the_command(
    call: Callable[..., Out], auto: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda n: None if n == "openvino" else found(n))
    lay(read_options({}, run_file=auto), QUICK)
    code, out, err = call("recommend", "--probe", "--file", auto)
    assert code == 0, err
    [line] = [line for line in out.splitlines() if "openvino" in line]
    assert "engine openvino needs openvino: pip install 'goemo-eval[openvino]'" in line


def test_recommend_before_measuring_shows_the_choice(call: Callable[..., Out], auto: Path) -> None:
    code, out, err = call("recommend", "--probe", "--file", auto)
    assert code == 0, err
    assert "tiny: worth measuring with --engines auto: torch INT8, torch FP32" in out
    assert "5.0 times as long as torch INT8" in out
    code, out, err = call("recommend", "--probe", "--file", auto, "--json")
    assert code == 0, err
    assert json.loads(out)["tiny"]["chosen"][0]["engine"] == "torch"
    code, out, _ = call("recommend", "--probe", "--file", auto, "--encoders", "tfidf,tiny")
    assert code == 0
    assert "tfidf" not in out
    code, out, _ = call("recommend", "--probe", "--encoders", "tfidf", "--store", auto.parent / "s")
    assert code == 0
    assert "the floor has an engine of its own" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recommend"], "recommend: no records: pass what a run wrote (records.json), or --probe"),
        (["recommend", "r.json", "--probe"], "r.json: records need no probe: leave out --probe"),
        (["recommend", "r.json", "--threads", "1"], "--threads goes with --probe: leave it out"),
        (["recommend", "r.json", "--file", "g.toml"], "--file goes with --probe"),
        (["run", "--engines", "auto,torch"], "--engines auto,torch: auto chooses among all"),
        (["run", "--engines", "autos"], "unknown engine 'autos'"),
    ],
)
def test_a_mistake_is_one_line(call: Callable[..., Out], words: list[str], said: str) -> None:
    code, _, err = call(*words)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_the_floor_is_measured_whatever_is_chosen_and_who_runs_no_engine_probes_nothing() -> None:
    asked: list[str] = []

    def shorten(plan: Any, encoder: str, precisions: Any) -> Any:
        asked.append(encoder)
        raise OptionError("probed")

    options = read_options(
        {"encoders": "tfidf", "schemes": "raw", "engines": "auto"}, run_file=None
    )
    found = matrix(options, shorten=shorten)
    assert [cell.id for cell in found.cells] == ["tfidf-raw-linear-fp32", "tfidf-raw-linear-int8"]
    assert asked == []
    options = read_options({"encoders": "tfidf,minilm", "engines": "auto"}, run_file=None)
    assert {cell.engine for cell in matrix(options).cells} == {*NEURAL, "linear"}
    with pytest.raises(OptionError, match="probed"):
        matrix(options, shorten=shorten)
    assert asked == ["minilm"]
