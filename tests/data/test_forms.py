"""Public forms, on rows made up here: what comes out is what the form says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value
from datasets import Dataset as HubDataset

from goemo_eval.data.dataset import Dataset
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import task_of
from goemo_eval.errors import DataError

TICKETS = Path(__file__).parents[2] / "examples" / "tickets" / "tickets.csv"
COMMA = {"separator": ",", "ids": "id"}


def write_csv(path: Path, rows: Sequence[Sequence[Any]], **options: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n", **options).writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def names_of(dataset: Dataset, split: str) -> list[list[str]]:
    return [
        [name for name, has in zip(dataset.labels, row, strict=True) if has]
        for row in dataset.splits[split].labels
    ]


def identity(dataset: Dataset) -> dict[str, str]:
    return {name: split.sha256 for name, split in dataset.splits.items()}


# --- one data set in every form


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    return [row | {"labels": [name for name in row["labels"].split(",") if name]} for row in read]


@pytest.fixture(scope="module")
def tickets() -> Dataset:
    return load_dataset(TICKETS, **COMMA)


LABELS = ("billing", "bug", "cancellation", "feature_request", "login", "performance")


def test_a_csv_of_tickets(tickets: Dataset, rows: list[dict[str, Any]]) -> None:
    assert tickets.labels == LABELS
    assert {name: len(split) for name, split in tickets.splits.items()} == {
        "train": 480,
        "validation": 60,
        "test": 60,
    }
    by_id = {row["id"]: row for row in rows}
    for name, split in tickets.splits.items():
        for text, row_id, labels in zip(
            split.texts, split.ids, names_of(tickets, name), strict=True
        ):
            assert text == by_id[row_id]["text"]
            assert labels == sorted(by_id[row_id]["labels"])
    assert not tickets.single_label
    assert tickets.fallback is None
    assert (tickets.name, tickets.source) == ("tickets", "csv")
    notes = tickets.notes
    assert sum(notes.unlabelled.values()) == sum(not row["labels"] for row in rows) > 50
    [assumed] = notes.assumed
    assert assumed.startswith("rows of one file dealt to train, validation, test (480/60/60)")
    assert assumed.endswith("seed 0")


def test_the_same_tickets_in_every_form(
    tickets: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    joined = [[row["id"], row["text"], ",".join(row["labels"])] for row in rows]
    header = ["id", "text", "labels"]
    flags = [
        [row["id"], row["text"], *(int(name in row["labels"]) for name in LABELS)] for row in rows
    ]
    numbers = [{**row, "labels": [LABELS.index(name) for name in row["labels"]]} for row in rows]
    columns = {name: [row[name] for row in rows] for name in header}
    pq.write_table(pa.table(columns), tmp_path / "lists.parquet")
    pq.write_table(
        pa.table({**columns, "labels": [",".join(row["labels"]) or None for row in rows]}),
        tmp_path / "text.parquet",
    )
    pq.write_table(
        pa.table(dict(zip(["id", "text", *LABELS], zip(*flags, strict=True), strict=True))),
        tmp_path / "flags.parquet",
    )
    hot = {"labels": list(LABELS), "ids": "id"}
    forms: list[tuple[Path, dict[str, Any]]] = [
        (write_jsonl(tmp_path / "lists.jsonl", rows), {"ids": "id"}),
        (tmp_path / "lists.parquet", {"ids": "id"}),
        (tmp_path / "text.parquet", COMMA),
        (tmp_path / "flags.parquet", hot),
        (write_csv(tmp_path / "flags.csv", [["id", "text", *LABELS], *flags]), hot),
        (write_csv(tmp_path / "bom.csv", [["\ufeffid", "text", "labels"], *joined]), COMMA),
        (write_csv(tmp_path / "semi.csv", [header, *joined], delimiter=";"), COMMA),
        (write_csv(tmp_path / "quoted.tsv", [header, *joined], delimiter="\t"), COMMA),
        (write_csv(tmp_path / "all.csv", [header, *joined], quoting=csv.QUOTE_ALL), COMMA),
        (write_jsonl(tmp_path / "ids.jsonl", numbers), {"ids": "id", "names": LABELS}),
    ]
    windows = tmp_path / "windows.csv"
    windows.write_bytes(TICKETS.read_bytes().replace(b"\n", b"\r\n"))
    forms.append((windows, COMMA))
    for path, options in forms:
        dataset = load_dataset(path, **options)
        assert dataset.labels == LABELS, path.name
        assert identity(dataset) == identity(tickets), path.name
        assert dataset.splits["test"].ids == tickets.splits["test"].ids, path.name


def test_integers_with_labels_beside_the_file(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    one = [row for row in rows if len(row["labels"]) == 1]
    cells = [[row["text"], LABELS.index(row["labels"][0])] for row in one]
    path = write_csv(tmp_path / "one.csv", [["text", "label"], *cells])
    (tmp_path / "labels.txt").write_text("\n".join(LABELS) + "\n")
    dataset = load_dataset(path, labels="label")
    named = write_csv(
        tmp_path / "names.csv",
        [["text", "label"], *([row["text"], row["labels"][0]] for row in one)],
    )
    (tmp_path / "labels.txt").rename(tmp_path / "names.txt")
    by_name = load_dataset(named, labels="label")
    assert identity(dataset) == identity(by_name)
    assert identity(load_dataset(path, labels="label", names=tmp_path / "names.txt")) == identity(
        dataset
    )
    assert dataset.single_label
    assert by_name.single_label
    scheme = get_scheme("simplified", dataset.labels, single_label=dataset.single_label)
    assert scheme.dominance is None
    targets = task_of(dataset, scheme).targets["test"]
    assert targets.tolist() == dataset.splits["test"].labels.argmax(axis=1).tolist()


def test_rows_without_a_label_are_refused_by_simplified(tickets: Dataset) -> None:
    assert len(task_of(tickets, get_scheme("raw", tickets.labels)).texts["test"]) == 60
    with pytest.raises(
        DataError, match=r"train split of 'tickets': row \d+ has no label, as 54 of 480"
    ):
        task_of(tickets, get_scheme("simplified", tickets.labels))


def test_names_say_the_order_and_that_commas_are_text(tmp_path: Path) -> None:
    cells = [[f"text {i}", ("salt", "salt, pepper", "pepper")[i % 3]] for i in range(30)]
    path = write_csv(tmp_path / "spices.csv", [["text", "labels"], *cells])
    names = ["salt, pepper", "salt", "pepper", "sugar"]
    dataset = load_dataset(path, names=names)
    assert list(dataset.labels) == names
    assert dataset.notes.absent == ("sugar",)
    assert "labels without a row in train: sugar" in dataset.notes.lines()


def test_numbers_can_be_names(tmp_path: Path) -> None:
    stars = [{"text": f"review {i}", "stars": i % 5 + 1} for i in range(50)]
    path = write_jsonl(tmp_path / "stars.jsonl", stars)
    dataset = load_dataset(path, labels="stars", names=["1", "2", "3", "4", "5"])
    for split in dataset.splits.values():
        for text, row in zip(split.texts, split.labels, strict=True):
            assert row.tolist().index(True) == int(text.split()[1]) % 5


@pytest.mark.parametrize("count", [1, 1_000])
def test_few_and_many_labels(count: int, tmp_path: Path) -> None:
    names = [f"intent {number}" for number in range(count)]
    cells = [
        {"text": f"text {i}", "labels": [names[i % count]] if i % 3 else []} for i in range(3_000)
    ]
    dataset = load_dataset(write_jsonl(tmp_path / "many.jsonl", cells))
    assert dataset.labels == tuple(sorted(names))
    assert not dataset.single_label
    counts = sum(split.labels.sum() for split in dataset.splits.values())
    assert counts == 2_000


# --- splits


def split_files(directory: Path, rows: list[dict[str, Any]], names: Sequence[str]) -> Path:
    directory.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        write_jsonl(directory / name, rows[number * 100 : (number + 1) * 100])
    return directory


@pytest.mark.parametrize(
    "names",
    [
        ("train.jsonl", "dev.jsonl", "test.jsonl"),
        ("tickets-train.jsonl", "tickets-valid.jsonl", "tickets-test-gold.jsonl"),
        ("TRAIN.jsonl", "val.jsonl", "Test.jsonl"),
        (
            "train-00000-of-00001.jsonl",
            "validation-00000-of-00001.jsonl",
            "test-00000-of-00001.jsonl",
        ),
    ],
)
def test_a_directory_with_a_file_for_each_split(
    names: tuple[str, ...], rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    directory = split_files(tmp_path / "my tickets", rows, names)
    (directory / "README.md").write_text("train, dev and test")
    dataset = load_dataset(directory)
    assert {name: len(split) for name, split in dataset.splits.items()} == dict.fromkeys(
        ("train", "validation", "test"), 100
    )
    assert dataset.splits["test"].texts[0] == rows[200]["text"]
    assert dataset.name == "my-tickets"
    assert dataset.notes.assumed == ()
    mapping = dict(
        zip(("train", "validation", "test"), (directory / n for n in names), strict=True)
    )
    assert identity(load_dataset(mapping)) == identity(dataset)


def test_validation_is_dealt_from_train(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    directory = split_files(tmp_path / "two", rows, ("train.jsonl", "test.jsonl"))
    dataset = load_dataset(directory)
    assert [len(dataset.splits[name]) for name in ("train", "validation", "test")] == [89, 11, 100]
    assert dataset.splits["test"].texts == tuple(row["text"] for row in rows[100:200])
    train, validation = (set(dataset.splits[name].texts) for name in ("train", "validation"))
    assert train | validation == {row["text"] for row in rows[:100]}
    assert "dealt to train, validation (89/11)" in dataset.notes.assumed[0]


def test_files_and_shards_go_together(
    tickets: Dataset, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = write_jsonl(tmp_path / "a.jsonl", rows[:250])
    rest = write_jsonl(tmp_path / "b.jsonl", rows[250:])
    assert identity(load_dataset([first, rest])) == identity(tickets)
    directory = split_files(
        tmp_path / "shards",
        rows,
        ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "dev.jsonl", "test.jsonl"),
    )
    assert len(load_dataset(directory).splits["train"]) == 200


def test_another_seed_deals_other_rows(tickets: Dataset) -> None:
    other = load_dataset(TICKETS, **COMMA, seed=1)
    assert set(other.splits["test"].texts) != set(tickets.splits["test"].texts)
    assert identity(other) != identity(tickets)


def test_a_text_never_stands_in_two_dealt_splits(tmp_path: Path) -> None:
    cells = [{"text": f"text {i % 40}", "labels": [f"label {i % 4}"]} for i in range(200)]
    dataset = load_dataset(write_jsonl(tmp_path / "again.jsonl", cells))
    assert set(dataset.notes.shared.values()) == {0}
    assert sum(dataset.notes.duplicates.values()) == 160


def test_empty_texts_and_white_space_are_counted(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    directory = split_files(tmp_path / "blank", rows, ("train.jsonl", "dev.jsonl", "test.jsonl"))
    write_jsonl(directory / "dev.jsonl", [*rows[100:150], {"id": "", "text": "  ", "labels": []}])
    notes = load_dataset(directory).notes
    assert notes.empty == {"train": 0, "validation": 1, "test": 0}
    assert "validation: 1 row without any text" in notes.lines()


def test_a_mark_at_the_start_is_no_text(tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    for directory, mark in ((plain, b""), (marked, b"\xef\xbb\xbf")):
        directory.mkdir()
        for name in ("train", "dev", "test"):
            content = b"".join(b"%s %d\t27\tid%d\n" % (name.encode(), i, i) for i in range(5))
            (directory / f"{name}.tsv").write_bytes(mark + content)
    assert identity(load_dataset(plain)) == identity(load_dataset(marked))
    assert load_dataset(plain).notes.assumed == (
        "no labels.txt beside the files: ids are read as GoEmotions' 28",
    )


def test_quotes_in_the_published_form_are_text_and_told(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.tsv").write_text(
            f'"He said ""{name}"""\t3,27\ta\nline\u2028sep {name}\x85\t4\tb\r\n',
            "utf-8",
            newline="",
        )
    dataset = load_dataset(tmp_path)
    assert dataset.splits["test"].texts == ('"He said ""test"""', "line\u2028sep test\x85")
    assert names_of(dataset, "test") == [["annoyance", "neutral"], ["approval"]]
    assert "3 texts look quoted as CSV quotes texts" in dataset.notes.assumed[1]


# --- public forms

RATER_HEADER = (
    *("text", "id", "author", "subreddit", "link_id", "parent_id", "created_utc", "rater_id"),
    *("example_very_unclear", *EMOTIONS),
)


def ballot(number: int, rater: int, *emotions: str) -> list[Any]:
    meta = ["someone", "pics", "t3_x", "t1_y", 1548381039.0, rater, not emotions]
    return [f"comment {number}", f"id{number}", *meta, *(int(e in emotions) for e in EMOTIONS)]


def test_goemotions_rater_files(tmp_path: Path) -> None:
    ballots = []
    for number in range(20):
        ballots += [ballot(number, 1, "joy"), ballot(number, 2, "joy", "love"), ballot(number, 3)]
    ballots += [ballot(20, 1, "joy"), ballot(20, 2, "fear"), ballot(20, 3, "anger")]  # no two agree
    ballots += [ballot(21, rater, "grief", "sadness") for rater in (1, 2, 3)] + [
        ballot(21, 4, "grief")
    ]
    ballots += [
        ballot(22, 1, "pride"),
        ballot(22, 1, "pride"),
        ballot(22, 2, "relief"),
    ]  # one twice
    paths = []
    for number in range(3):  # a text's ballots lie in several files
        path = tmp_path / f"goemotions_{number + 1}.csv"
        paths.append(write_csv(path, [RATER_HEADER, *ballots[number::3]]))
    dataset = load_dataset(paths, name="raters")
    assert dataset.labels == EMOTIONS
    assert dataset.fallback == "neutral"
    assert dataset.notes.assumed[:2] == (
        "these are GoEmotions' rater files: a row is one rater's",
        "train: 2 of 23 texts left out, on which no 2 raters agreed",
    )
    votes: dict[str, dict[str, int]] = {}
    labels: dict[str, list[str]] = {}
    for name, split in dataset.splits.items():
        assert split.votes is not None
        for text_id, row, own in zip(split.ids, split.votes, names_of(dataset, name), strict=True):
            votes[text_id] = {EMOTIONS[i]: int(row[i]) for i in row.nonzero()[0]}
            labels[text_id] = own
    assert len(labels) == 21
    assert votes["id0"] == {"joy": 2, "love": 1}
    assert labels["id0"] == ["joy"]
    assert votes["id21"] == {"grief": 4, "sadness": 3}
    assert labels["id21"] == ["grief", "sadness"]
    scheme = get_scheme("simplified", dominance="votes")
    targets = {}
    for name, task_targets in task_of(dataset, scheme).targets.items():
        targets |= dict(zip(dataset.splits[name].ids, task_targets.tolist(), strict=True))
    assert targets["id21"] == EMOTIONS.index("grief")
    # other votes for the same labels are other data: rule 'votes' may pick another label
    once = load_dataset(write_csv(tmp_path / "once.csv", [RATER_HEADER, *ballots]))
    more = [*ballots, ballot(0, 9, "joy")]
    again = load_dataset(write_csv(tmp_path / "more.csv", [RATER_HEADER, *more]))
    for name in ("train", "validation", "test"):
        assert once.splits[name].ids == again.splits[name].ids
        assert names_of(once, name) == names_of(again, name)
    assert sum(identity(once)[name] != identity(again)[name] for name in identity(once)) == 1


def test_raters_of_other_data(tmp_path: Path) -> None:
    cells = [
        [f"text {number}", f"t{number}", who, int(who != "ann"), 0]
        for number in range(12)
        for who in ("ann", "bob", "cy")
    ]
    path = write_csv(tmp_path / "rated.csv", [["body", "key", "who", "spam", "rude"], *cells])
    dataset = load_dataset(path, text="body", labels=["spam", "rude"], ids="key", rater="who")
    assert sum(map(len, dataset.splits.values())) == 12
    assert all(split.labels[:, 0].all() for split in dataset.splits.values())
    votes = dataset.splits["train"].votes
    assert votes is not None
    assert votes.tolist() == [[2, 0]] * len(dataset.splits["train"])


EKMAN = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
GROUP = ("positive", "negative", "ambiguous", "neutral")


@pytest.mark.parametrize("names", [EKMAN, GROUP])
def test_ekman_and_group_files_have_their_own_labels(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    for split in ("train", "dev", "test"):
        lines = [f"{split} {i}\t{i % len(names)}\tid{i}\n" for i in range(20)]
        (tmp_path / f"{split}.tsv").write_text("".join([*lines, f"{split} both\t1,2\tidx\n"]))
    (tmp_path / "labels.txt").write_text("\n".join(names))
    dataset = load_dataset(tmp_path)
    assert dataset.labels == names
    assert dataset.fallback == "neutral"
    assert names_of(dataset, "test")[:3] == [[names[0]], [names[1]], [names[2]]]
    assert names_of(dataset, "validation")[-1] == [names[1], names[2]]
    assert dataset.splits["train"].ids[:2] == ("id0", "id1")


SEMEVAL = (
    *("anger", "anticipation", "disgust", "fear", "joy", "love", "optimism", "pessimism"),
    *("sadness", "surprise", "trust"),
)


def test_semeval_2018_ec(tmp_path: Path) -> None:
    """Tabs, a header, 0/1 columns, and quotes that are the tweet's own."""
    tweets = [
        '"Worry is a down payment on a problem you may never have. #motivation',
        "Whatever you decide to do make sure it makes you #happy.",
        '@someone it "also" helps that the majority of NFL coaching is inept',
    ]
    files = {}
    for number, name in enumerate(("train", "dev", "test-gold")):
        lines = ["\t".join(("ID", "Tweet", *SEMEVAL))]
        for i in range(12):
            flags = "\t".join(str(int((i + j) % 5 == 0)) for j in range(11))
            lines.append(f"2018-En-{number}{i:04}\t{tweets[i % 3]} {number}-{i}\t{flags}")
        files[name] = tmp_path / f"2018-E-c-En-{name}.txt"
        files[name].write_text("\n".join(lines) + "\n", encoding="utf-8")
    dataset = load_dataset(tmp_path, text="Tweet", labels=list(SEMEVAL), ids="ID")
    assert dataset.labels == SEMEVAL
    test = dataset.splits["test"]
    assert test.texts[0] == f"{tweets[0]} 2-0"
    assert test.texts[2] == f"{tweets[2]} 2-2"
    assert test.ids[:2] == ("2018-En-20000", "2018-En-20001")
    assert names_of(dataset, "test")[0] == ["anger", "love", "trust"]
    assert all(line.endswith("quotes are text") for line in dataset.notes.assumed)


def test_text_semicolon_label(tmp_path: Path) -> None:
    names = ("sadness", "anger", "love", "surprise", "fear", "joy")
    for split in ("train", "val", "test"):
        lines = [f"i feel {split} {i}; so i do;{names[i % 6]}" for i in range(24)]
        (tmp_path / f"{split}.txt").write_text("\n".join(["i feel it;joy", *lines]) + "\n")
    dataset = load_dataset(tmp_path)
    assert dataset.labels == tuple(sorted(names))
    assert dataset.single_label
    assert dataset.source == "lines"
    assert dataset.splits["test"].texts[1] == "i feel test 0; so i do"
    assert names_of(dataset, "test")[:2] == [["joy"], ["sadness"]]


JIGSAW = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def test_jigsaw(tmp_path: Path) -> None:
    cells = [
        [f"{i:016x}", f'a comment,\n"number" {i}\n', *(int(i % (j + 2) == 0) for j in range(6))]
        for i in range(60)
    ]
    path = write_csv(tmp_path / "train.csv", [["id", "comment_text", *JIGSAW], *cells])
    options: dict[str, Any] = {"text": "comment_text", "labels": list(JIGSAW), "ids": "id"}
    dataset = load_dataset(path, **options)
    assert dataset.labels == JIGSAW
    assert sum(dataset.notes.unlabelled.values()) == sum(not any(row[2:]) for row in cells) > 5
    split = dataset.splits["train"]
    number = int(split.ids[0], 16)
    assert split.texts[0] == cells[number][1]
    assert split.labels[0].tolist() == [bool(flag) for flag in cells[number][2:]]
    unscored = write_csv(
        tmp_path / "test.csv", [["id", "comment_text", *JIGSAW], ["0", "a", *[-1] * 6]]
    )
    with pytest.raises(
        DataError, match=r"test\.csv:2: column 'toxic' must hold 0 or 1: got '-1'; -1 marks"
    ):
        load_dataset({"train": path, "test": unscored}, **options)


def test_parquet_that_datasets_wrote(tmp_path: Path) -> None:
    """The names of label ids are in the file: ids need no labels.txt."""
    names = ["no", "yes", "maybe"]
    texts = [f"text {i}" for i in range(30)]
    one = HubDataset.from_dict(
        {"text": texts, "label": [i % 3 for i in range(30)]},
        features=Features({"text": Value("string"), "label": ClassLabel(names=names)}),
    )
    several = HubDataset.from_dict(
        {"text": texts, "label": [[i % 3, (i + 1) % 3] if i % 2 else [] for i in range(30)]},
        features=Features({"text": Value("string"), "label": List(ClassLabel(names=names))}),
    )
    for number, table in enumerate((one, several)):
        path = tmp_path / f"{number}.parquet"
        table.to_parquet(path)
        dataset = load_dataset(path, labels="label")
        assert list(dataset.labels) == names
        for split in dataset.splits.values():
            for text, row in zip(split.texts, split.labels, strict=True):
                wanted = table["label"][int(text.split()[1])]
                assert np.flatnonzero(row).tolist() == sorted(np.atleast_1d(wanted).tolist())
    (tmp_path / "labels.txt").write_text("no\nmaybe\nyes\n")
    with pytest.raises(DataError, match=r"labels\.txt and .*0\.parquet name different labels"):
        load_dataset(tmp_path / "0.parquet", labels="label")


def test_pandas_writes_what_is_read(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "text": [f'he said "no {i}",\nor\tnot' if i % 2 else f"plain {i}" for i in range(40)],
            "labels": pd.Series([None if i % 4 == 0 else ("a", "b")[i % 2] for i in range(40)]),
        }
    )
    frame.to_csv(tmp_path / "data.csv")  # with its index, a column without a name
    frame.to_csv(tmp_path / "data.tsv", sep="\t", index=False)
    frame.to_json(tmp_path / "data.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "data.parquet")
    found = [load_dataset(tmp_path / f"data.{end}") for end in ("csv", "tsv", "jsonl", "parquet")]
    assert len({tuple(identity(dataset).values()) for dataset in found}) == 1
    texts = {text for split in found[0].splits.values() for text in split.texts}
    assert texts == set(frame["text"])
    assert sum(found[0].notes.unlabelled.values()) == 10


def test_a_batch_of_parquet_ends_where_it_ends(tmp_path: Path) -> None:
    """More rows than are read at a time, in several row groups, with columns beside them."""
    rows = 3_000
    table = pa.table(
        {
            "other.thing": [{"a": i} for i in range(rows)],
            "text": pa.array([f"text {i}" for i in range(rows)], pa.large_string()),
            "labels": pa.array([("a", "b", "c")[i % 3] for i in range(rows)]).dictionary_encode(),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=700)
    (tmp_path / "data.parquet").write_bytes(buffer.getvalue())
    dataset = load_dataset(tmp_path / "data.parquet")
    for split in dataset.splits.values():
        for text, row in zip(split.texts, split.labels, strict=True):
            assert row.argmax() == int(text.split()[1]) % 3
    assert sum(map(len, dataset.splits.values())) == rows
