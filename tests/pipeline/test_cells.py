from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.engines import registry
from goemo_eval.errors import GoemoError, OptionError
from goemo_eval.pipeline import cells
from goemo_eval.pipeline.cells import Matrix, matrix
from goemo_eval.run_file import read_options

CSV = "text,labels\n" + "".join(
    f'"text {i} {"bug" if i % 2 else "bill"}","{"bug" if i % 2 else "billing"}"\n'
    for i in range(40)
)


def resolve(**given: Any) -> Matrix:
    return matrix(read_options(given, run_file=None))


def test_the_sample_in_torch_and_the_floor_beside_it_fp32_before_int8() -> None:
    ids = [cell.id for cell in resolve().cells]
    assert ids[:2] == ["albert-raw-torch-fp32", "albert-raw-torch-int8"]
    assert "minilm-simplified-torch-int8" in ids
    assert "tfidf-raw-linear-fp32" in ids
    assert not any("onnxruntime" in cell for cell in ids)
    assert len(ids) == len(set(ids)) == 20


def test_seeds_engines_and_precisions_narrow_or_widen() -> None:
    found = resolve(
        encoders="minilm", schemes="raw", engines="torch,openvino", precisions="fp32", seeds="1,2"
    )
    assert [cell.id for cell in found.cells] == [
        "minilm-raw-torch-fp32-s1",
        "minilm-raw-openvino-fp32-s1",
        "minilm-raw-torch-fp32-s2",
        "minilm-raw-openvino-fp32-s2",
    ]


def test_bf16_is_asked_for_and_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "has_bf16_products", lambda: True)
    monkeypatch.setattr(cells, "has_bf16_products", lambda: True)
    found = resolve(
        encoders="minilm,tfidf",
        schemes="raw",
        engines="torch,onnxruntime,openvino",
        precisions="int8,bf16,fp32",
    )
    ids = [cell.id for cell in found.cells]
    assert ids[:3] == [f"minilm-raw-torch-{p}" for p in ("fp32", "bf16", "int8")]
    assert [i for i in ids if "bf16" in i] == ["minilm-raw-torch-bf16", "minilm-raw-openvino-bf16"]
    assert [line.partition(":")[0] for line in found.refused] == [
        "engine onnxruntime has no bf16",
        "engine linear has no bf16",
    ]
    assert not resolve(encoders="minilm,tfidf").refused
    with pytest.raises(OptionError, match="leave no cell: engine onnxruntime has no bf16"):
        resolve(encoders="minilm", engines="onnxruntime", precisions="bf16")


def test_bf16_is_refused_where_the_cpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "has_bf16_products", lambda: False)
    with pytest.raises(OptionError, match=r"^--precisions fp32,bf16: this CPU has no instr[^\n]+$"):
        resolve(precisions="fp32,bf16")


def test_data_of_ones_own_with_one_label_a_text_have_softmax_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    found = resolve(data=str(tmp_path / "t.csv"), encoders="tfidf")
    assert {cell.scheme for cell in found.cells} == {"simplified"}
    assert found.plan.recipe.name == "strong"
    assert found.reports == Path("reports/t")


def test_a_scheme_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    found = resolve(
        data=str(tmp_path / "t.csv"),
        encoders="tfidf",
        schemes="money",
        groups={"money": {"money": ["billing"], "rest": ["bug"]}},
    )
    assert found.plan.scheme("money").labels == ("money", "rest")


def test_an_encoder_of_ones_own_is_a_table_of_the_run_file(tmp_path: Path) -> None:
    (tmp_path / "goemo.toml").write_text(
        "[run]\nencoders = ['mine@2', 'tfidf']\nschemes = ['raw']\nprecisions = ['fp32']\n"
        "[encoders.mine]\nmodel_type = 'bert'\n[encoders.mine.config]\nnum_hidden_layers = 4\n"
    )
    found = matrix(read_options({}, run_file=tmp_path / "goemo.toml"))
    assert [cell.id for cell in found.cells] == ["mine@2-raw-torch-fp32", "tfidf-raw-linear-fp32"]
    assert found.plan.encoder("mine@2").config == {"num_hidden_layers": 4}


@pytest.fixture
def brought(tiny_weights_dir: Path, tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "mine").mkdir()

    def call(**given: Any) -> Matrix:
        return resolve(engines="torch", **given)

    return call


def test_a_brought_checkpoint_says_which_cells_there_are(brought: Any, tmp_path: Path) -> None:
    words = {"checkpoint": [f"mine-raw={tmp_path / 'mine'}"], "train": "never"}
    for given in (words, words | {"encoders": "mine"}):
        assert [cell.id for cell in brought(**given).cells] == [
            "mine-raw-torch-fp32",
            "mine-raw-torch-int8",
        ]


def test_brought_weights_are_measured_under_every_scheme(
    brought: Any, tiny_weights_dir: Path
) -> None:
    found = brought(weights=[f"mine={tiny_weights_dir}"], precisions="fp32")
    assert [cell.id for cell in found.cells] == [
        "mine-raw-torch-fp32",
        "mine-simplified-torch-fp32",
    ]


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"encoders": "roberta"}, "unknown encoder 'roberta'"),
    ({"encoders": "../../x"}, "encoder"),
    ({"encoders": "A B"}, "encoder"),
    ({"schemes": "rwa"}, "unknown scheme 'rwa'"),
    ({"engines": "tensorrt"}, "unknown engine 'tensorrt'"),
    ({"precisions": "int4"}, "unknown precision 'int4'"),
    ({"recipe": "none"}, "unknown recipe 'none'"),
    ({"thresholds": "best"}, "unknown strategy 'best'"),
    ({"data": "/nowhere"}, "/nowhere"),
    ({"checkpoint": ["mine-raw=/nowhere"]}, "--checkpoint mine-raw=/nowhere: no such directory"),
    ({"checkpoint": ["mine=HERE"]}, "expected ENCODER-SCHEME=DIR"),
    ({"checkpoint": ["mine-rwa=HERE"]}, "unknown scheme 'rwa'"),
    ({"checkpoint": ["mine-raw=HERE"], "seeds": "1,2"}, "fine-tuned with one seed"),
    ({"checkpoint": ["mine-raw=HERE"], "encoders": "minilm"}, "leaves out mine"),
    (
        {"checkpoint": ["mine-raw=HERE"], "schemes": "simplified"},
        "add --checkpoint mine-simplified=DIR",
    ),
    ({"weights": ["mine=/nowhere"]}, "--weights mine=/nowhere: no such directory"),
    ({"encoders": "tfidf", "schemes": "ekman", "groups": {"x": {"a": ["nothing"]}}}, "is no label"),
]


@pytest.mark.parametrize(("given", "said"), MISTAKES)
def test_a_mistake_is_one_line(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    here = {
        key: [text.replace("HERE", str(tmp_path)) for text in value]
        if isinstance(value, list)
        else value
        for key, value in given.items()
    }
    with pytest.raises(GoemoError, match=r"^[^\n]+$") as caught:
        resolve(**here)
    assert said in str(caught.value)
