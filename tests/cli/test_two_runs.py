"""Two runs at once: of the same cells, on one empty store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from goemo_eval.records.files import read_records

TICKETS = Path(__file__).parents[2] / "examples" / "tickets" / "tickets.csv"


def test_two_runs_on_one_store_both_end_well(tmp_path: Path) -> None:
    (tmp_path / "goemo.toml").write_text(
        f'[data]\nsource = "{TICKETS}"\nseparator = ","\nids = "id"\n'
        '[run]\nencoders = ["tfidf"]\nschemes = ["raw"]\nstore = "store"\nthreads = 1\ntiming = "off"\n'
    )
    command = [sys.executable, "-m", "goemo_eval", "run", "--file", "goemo.toml", "--reports"]
    runs = [
        subprocess.Popen([*command, name], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    first, second = (read_records(tmp_path / name / "records.json") for name in ("a", "b"))
    assert [r.cell.id for r in first] == ["tfidf-raw-linear-fp32", "tfidf-raw-linear-int8"]
    assert [r.artifact for r in first] == [r.artifact for r in second]
    assert [r.decisions for r in first] == [r.decisions for r in second]
    assert not list((tmp_path / "store" / "work").iterdir())
    # What one made the other waited for: nothing was made twice, and nothing is damaged.
    made = {path.name for path in (tmp_path / "store").iterdir() if path.is_dir()}
    assert "damaged" not in made
