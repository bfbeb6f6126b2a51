"""Malformed data: every one is refused in a line that names the place and the mend."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.readers.table import MOST_LINE_BYTES
from goemo_eval.data.sources import load_dataset
from goemo_eval.errors import DataError

Files = Mapping[str, bytes]
NAMES = ("billing", "bug", "login")


def published(split: str, *, rows: int = 30) -> bytes:
    return b"".join(
        b"%s text %d\t%d\t%s%d\n" % (split.encode(), i, i % 28, split.encode(), i)
        for i in range(rows)
    )


TSV = {f"{name}.tsv": published(name) for name in ("train", "dev", "test")}
THREE = b"".join(name.encode() + b"\n" for name in NAMES)


def tsv(bad: bytes, file: str = "dev.tsv") -> Files:
    """The published form, with a bad row after the 30 good ones of a split."""
    return {**TSV, file: TSV[file] + bad}


def rows_of(cells: Callable[[int], str], header: str = "text,labels") -> bytes:
    return (header + "\n" + "".join(f"ticket number {i},{cells(i)}\n" for i in range(20))).encode()


CSV = rows_of(lambda i: NAMES[i % 3])
JSONL = b"".join(
    json.dumps({"text": f"ticket number {i}", "labels": [NAMES[i % 3]]}).encode() + b"\n"
    for i in range(20)
)


def csv(bad: bytes, good: bytes = CSV) -> Files:
    """A CSV file with a bad row in line 22."""
    return {"data.csv": good + bad}


def jsonl(bad: bytes) -> Files:
    """JSON lines with a bad row in line 21."""
    return {"data.jsonl": JSONL + bad}


def parquet(**columns: Any) -> Files:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return {"data.parquet": buffer.getvalue()}


TEXTS = [f"ticket number {i}" for i in range(20)]
LISTS = [[NAMES[i % 3]] for i in range(20)]
FLAGS = {name: [int(i % 3 == k) for i in range(20)] for k, name in enumerate(NAMES)}
IDS = rows_of(lambda i: str(i % 3))
IDS_TXT = {"data.csv": IDS, "labels.txt": THREE}
HOT = rows_of(lambda i: ",".join(str(FLAGS[name][i]) for name in NAMES), "text,billing,bug,login")
HOT_LABELS = {"labels": list(NAMES)}
COMMA = {"separator": ","}
WORDS = rows_of(lambda i: NAMES[i % 3] + "|" + NAMES[(i + 1) % 3])
BAR = {"separator": "|"}
RATED = (
    "text,id,who,"
    + ",".join(NAMES)
    + "\n"
    + "".join(f"ticket {i},i{i},r{r},1,0,0\n" for i in range(12) for r in range(3))
).encode()
RATERS = {"labels": list(NAMES), "ids": "id", "rater": "who"}
LINES = b"".join(b"i feel number %d;%s\n" % (i, (b"joy", b"fear")[i % 2]) for i in range(20))

Case = tuple[str, Files, dict[str, Any], str]
# what it is, the files, the options, what the message holds. One file is the source; of several, the directory.
# fmt: off
CASES: list[Case] = [
    # --- the published form: text, TAB, ids, TAB, id
    ("two columns", tsv(b"two columns\t3\n"), {}, r"dev\.tsv:31: 2 columns: expected 3"),
    ("one column", tsv(b"one column\n"), {}, r"dev\.tsv:31: 1 columns"),
    ("a blank line", tsv(b"\n"), {}, r"dev\.tsv:31: 1 columns"),
    ("four columns", tsv(b"a\t3\tb\tc\n"), {}, r"dev\.tsv:31: 4 columns"),
    ("a CSV's quotes over lines", tsv(b'"a\nb"\t3\tc\n'), {}, r"dev\.tsv:31: 1 columns.*quotes of a CSV"),
    ("an id too high", tsv(b"a\t28\tb\n"), {}, r"dev\.tsv:31: label id '28' is outside 0 to 27"),
    ("a negative id", tsv(b"a\t-1\tb\n"), {}, r"dev\.tsv:31: label '-1' is no id"),
    ("minus zero", tsv(b"a\t-0\tb\n"), {}, r"dev\.tsv:31: label '-0' is no id"),
    ("plus", tsv(b"a\t+3\tb\n"), {}, r"dev\.tsv:31: label '\+3' is no id"),
    ("an underscore", tsv(b"a\t1_0\tb\n"), {}, r"dev\.tsv:31: label '1_0' is no id"),
    ("a zero before", tsv(b"a\t03\tb\n"), {}, r"dev\.tsv:31: label '03' is no id"),
    ("a decimal", tsv(b"a\t3.0\tb\n"), {}, r"dev\.tsv:31: label '3\.0' is no id"),
    ("an Arabic digit", tsv("a\t٣\tb\n".encode()), {}, r"dev\.tsv:31: label '٣' is no id"),
    ("a full-width digit", tsv("a\t\uff13\tb\n".encode()), {}, "dev.tsv:31: label '\uff13' is no id"),
    ("a superscript", tsv("a\t³\tb\n".encode()), {}, r"dev\.tsv:31: label '³' is no id"),
    ("a name among ids", tsv(b"a\tjoy\tb\n"), {}, r"dev\.tsv:31: label 'joy' is a name, and other rows hold ids"),
    ("no emotion", tsv(b"a\thunger\tb\n"), {}, r"dev\.tsv:31: label 'hunger' is none of GoEmotions"),
    ("twice", tsv(b"a\t3,3\tb\n"), {}, r"dev\.tsv:31: column 'labels': '3,3' has a label twice"),
    ("a comma too many", tsv(b"a\t3,\tb\n"), {}, r"dev\.tsv:31: .*an empty label"),
    ("two commas", tsv(b"a\t3,,4\tb\n"), {}, r"dev\.tsv:31: .*an empty label"),
    ("semicolons", tsv(b"a\t3;4\tb\n"), {}, r"dev\.tsv:31: label '3;4' is no id"),
    ("400 digits", tsv(b"a\t" + b"9" * 400 + b"\tb\n"), {}, r"dev\.tsv:31: label '9+\.\.\. is no id"),
    ("not UTF-8", tsv(b"caf\xe9\t3\tb\n"), {}, r"dev\.tsv:31: byte 0xe9 at column 4 is not UTF-8"),
    ("an overlong form", tsv(b"a\xc0\x80\t3\tb\n"), {}, r"dev\.tsv:31: byte 0xc0"),
    ("half a pair", tsv(b"a\xed\xa0\x80\t3\tb\n"), {}, r"dev\.tsv:31: byte 0xed"),
    ("NUL in a text", tsv(b"a\0b\t3\tb\n"), {}, r"dev\.tsv:31: NUL at column 2"),
    ("NUL in a label", tsv(b"a\t3\0\tb\n"), {}, r"dev\.tsv:31: NUL"),
    ("an escape in an id", tsv(b"a\t3\t\x1b[31m\n"), {}, r"dev\.tsv:31: column 'id' must hold ids.*\\x1b"),
    ("a long line", tsv(b"a" * (MOST_LINE_BYTES + 1) + b"\t3\tb\n"), {}, r"dev\.tsv:31: a line longer"),
    ("a line without end", {**TSV, "dev.tsv": b"a" * (MOST_LINE_BYTES * 2)}, {}, r"dev\.tsv:1: a line longer"),
    ("a long text", tsv(b"a" * 140_000 + b"\t3\tb\n"), {}, r"dev\.tsv:31: a text of 140,000 characters"),
    ("in train, too", tsv(b"a\t28\tb\n", "train.tsv"), {}, r"train\.tsv:31: label id '28'"),
    ("in test, too", tsv(b"a\t28\tb\n", "test.tsv"), {}, r"test\.tsv:31: label id '28'"),
    ("empty", {**TSV, "dev.tsv": b""}, {}, r"dev\.tsv: the file is empty"),
    ("white space", {**TSV, "dev.tsv": b"\n \n"}, {}, r"dev\.tsv: the file is empty"),
    ("a mark alone", {**TSV, "dev.tsv": b"\xef\xbb\xbf"}, {}, r"dev\.tsv: the file is empty"),
    ("UTF-16", {**TSV, "dev.tsv": "a\t3\tb\n".encode("utf-16")}, {}, r"dev\.tsv: is UTF-16: save it as UTF-8"),
    ("UTF-16, other end", {**TSV, "dev.tsv": b"\xfe\xff\0a"}, {}, r"dev\.tsv: is UTF-16"),
    ("UTF-16 without a mark", {**TSV, "dev.tsv": "a\t3\tb\n".encode("utf-16-le")}, {}, r"dev\.tsv:1: NUL"),
    ("gzip", {**TSV, "dev.tsv": gzip.compress(b"a\t3\tb\n")}, {}, r"dev\.tsv: is compressed with gzip"),
    ("a spreadsheet", {**TSV, "dev.tsv": b"PK\x03\x04rest"}, {}, r"dev\.tsv: is a ZIP archive or a spread"),
    ("a pointer", {**TSV, "dev.tsv": b"version https://git-lfs.github.com/spec/v1\n"}, {}, r"dev\.tsv: is a pointer"),
    ("carriage returns", {**TSV, "dev.tsv": b"a\t3\tb\rc\t3\td\r"}, {}, r"dev\.tsv:1: 5 columns"),
    ("another text column", TSV, {"text": "tweet"}, r"train\.tsv: no column 'tweet': the columns are text, labels, id"),
    ("another label column", TSV, {"labels": "emotion"}, r"train\.tsv: no column 'emotion'"),
    ("ids of seven without names", {name: re.sub(rb"\t[0-9]+\t", b"\t6\t", rows) for name, rows in TSV.items()}, {}, r"no labels\.txt beside it, and no row of any split has id 27"),
    ("names in place of ids", {**TSV, "dev.tsv": b"a\tjoy\tb\n"}, {}, r"dev\.tsv:1: no column 'text'.*'joy'.*label ids such as 3,10"),
    ("the 28 in another order", {**TSV, "labels.txt": "\n".join(reversed(EMOTIONS)).encode()}, {}, r"labels\.txt:1: id 0 is 'neutral' here and 'admiration' in GoEmotions"),
    ("a labels.txt too short", {**TSV, "labels.txt": THREE}, {}, r"label id '3' is outside 0 to 2, the ids of .*labels\.txt"),
    # --- splits
    ("test is dev", {**TSV, "test.tsv": TSV["dev.tsv"]}, {}, "the test split has the same texts as the validation split"),
    ("test is dev in another order", {**TSV, "test.tsv": b"\n".join(reversed(TSV["dev.tsv"].splitlines())) + b"\n"}, {}, "same texts as the validation"),
    ("test is train", {**TSV, "test.tsv": TSV["train.tsv"]}, {}, "the test split has the same texts as the train split"),
    ("nothing left of train", {**TSV, "train.tsv": TSV["dev.tsv"]}, {"drop_shared": True}, "nothing is left to train on"),
    ("no test", {"train.tsv": TSV["train.tsv"], "dev.tsv": TSV["dev.tsv"]}, {}, r"no test split: it holds dev\.tsv, train\.tsv"),
    ("no train", {"dev.tsv": TSV["dev.tsv"], "test.tsv": TSV["test.tsv"]}, {}, "no train split"),
    ("no data", {"notes.md": b"", "more.md": b""}, {}, "no train and no test split: it holds no data files"),
    ("two trains", {**TSV, "train.csv": CSV}, {}, r"train\.csv and train\.tsv could both be train"),
    ("two devs", {**TSV, "valid.tsv": TSV["dev.tsv"]}, {}, r"dev\.tsv and valid\.tsv could both be validation"),
    ("a name of two splits", {"train-test.tsv": TSV["train.tsv"], "a.md": b""}, {}, "the name says test and train"),
    ("a few texts", {"data.csv": b"\n".join(CSV.splitlines()[:8]) + b"\n"}, {}, "7 different texts: at least 10"),
    ("the same text", {"data.csv": b"text,labels\n" + b"same,bug\nsame,billing\n" * 9}, {}, "1 different texts"),
    ("no text in dev", {**TSV, "dev.tsv": b" \t3\tb\n"}, {}, "every text of the validation split is empty"),
    ("an 11th row without any", {"data.csv": b"text,labels\n" + b" ,bug\n" * 3}, {}, "1 different texts"),
    # --- labels.txt
    ("labels twice", {**IDS_TXT, "labels.txt": b"a\nb\na\n"}, {}, r"labels\.txt: label 'a' is there twice"),
    ("a blank name", {**IDS_TXT, "labels.txt": b"a\n\nb\n"}, {}, r"labels\.txt: label 2 is ''"),
    ("no names", {**IDS_TXT, "labels.txt": b"\n"}, {}, r"labels\.txt: 0 labels"),
    ("a name that moves the cursor", {**IDS_TXT, "labels.txt": b"a\n\x1b[2Jb\nc\n"}, {}, r"labels\.txt: label 2 is '\\x1b\[2Jb'"),
    ("a long name", {**IDS_TXT, "labels.txt": b"a\n" + b"b" * 201 + b"\nc\n"}, {}, r"labels\.txt: label 2 is"),
    ("names not in UTF-8", {**IDS_TXT, "labels.txt": b"a\n\xe9\nc\n"}, {}, r"labels\.txt: byte 0xe9"),
    ("too many names", {**IDS_TXT, "labels.txt": b"".join(b"l%d\n" % i for i in range(10_001))}, {}, "10,001 labels: there may be 1 to 10,000"),
    ("too few names", {**IDS_TXT, "labels.txt": b"a\nb\n"}, {}, r"data\.csv:4: label id '2' is outside 0 to 1, the ids of .*labels\.txt"),
    ("names that are not these", {"data.csv": CSV, "labels.txt": b"a\nb\nc\n"}, {}, r"data\.csv:2: label 'billing' is none of .*labels\.txt: a, b, c"),
    ("a file of 5 MB", {**IDS_TXT, "labels.txt": b"a" * 5_000_000}, {}, r"labels\.txt: 5,000,000 bytes"),
    # --- CSV with a header
    ("no column text", {"data.csv": b"body,labels\na,b\n"}, {}, r"data\.csv:1: no column 'text': the first row holds 'body', 'labels'"),
    ("no column labels", {"data.csv": b"text,label\na,b\n"}, {}, r"data\.csv: no column 'labels': the columns are text, label"),
    ("no column of ids", csv(b""), {"ids": "id"}, r"data\.csv: no column 'id'"),
    ("a column twice", {"data.csv": b"text,labels,text\na,b,c\n"}, {}, "column 'text' is there twice"),
    ("no rows", {"data.csv": b"text,labels\n"}, {}, r"data\.csv: the train split has no rows"),
    ("a column too few", csv(b"alone\n"), {}, r"data\.csv:22: 1 columns: the header has 2"),
    ("a comma in a text", csv(b"yes, please,bug\n"), {}, r"data\.csv:22: 3 columns: the header has 2; .*must be quoted"),
    ("a quote never closed", csv(b'"oh,bug\nb,bug\n'), {}, r"data\.csv:22: no row of CSV \(unexpected end of data\)"),
    ("a quote in a quoted text", csv(b'"he said "hi" to me",bug\n'), {}, r"data\.csv:22: no row of CSV"),
    ("a quote over everything", csv(b'"' + b"x,bug\n" * 40_000), {}, r"data\.csv:22: no row of CSV \(field larger than field limit"),
    ("lone carriage return", csv(b"a\rb,bug\n"), {}, r"data\.csv:22: no row of CSV \(new-line character"),
    ("NUL", csv(b"a\0,bug\n"), {}, r"data\.csv:22: NUL at column 2"),
    ("latin-1", csv(b"caf\xe9,bug\n"), {}, r"data\.csv:22: byte 0xe9 at column 4"),
    ("UTF-16 by a spreadsheet", {"data.csv": CSV.decode().encode("utf-16")}, {}, r"data\.csv: is UTF-16"),
    ("20,001 columns", {"data.csv": b"text," + b",".join(b"c%d" % i for i in range(20_000)) + b"\n"}, {}, "20,001 columns"),
    ("a list in Python", csv(b"a,\"['bug', 'login']\"\n"), {}, r"data\.csv:22: column 'labels': .*is a list written as text"),
    ("a list in JSON", csv(b'a,"[""bug""]"\n'), {}, r"data\.csv:22: .*is a list written as text"),
    ("a set", csv(b'a,"{bug}"\n'), {}, r"data\.csv:22: .*is a list written as text"),
    ("several in one cell", csv(b'a,"bug,login"\n'), {}, r"data\.csv:22: 'bug,login' looks like several labels: pass separator=','"),
    ("several with a bar", {"data.csv": WORDS}, {}, r"looks like several labels: pass separator='\|'"),
    ("capitals", csv(b"a,Bug\n"), {}, r"data\.csv:\d+: label '(Bug|bug)' is '(Bug|bug)' but for its capitals"),
    ("every text its own label", {"data.csv": rows_of(lambda i: f"label {i}")}, {}, "column 'labels' has 20 labels in 20 rows"),
    ("no labels at all", {"data.csv": rows_of(lambda i: "")}, {}, "column 'labels' holds no label in any row"),
    ("ids without names", {"data.csv": IDS}, {}, r"data\.csv:2: label '0' is an id, and nothing says what it stands for"),
    ("an id too high for names", {"data.csv": IDS}, {"names": ["a", "b"]}, r"data\.csv:4: label id '2' is outside 0 to 1, the ids of names"),
    ("names that are numbers", {"data.csv": IDS}, {"names": ["1", "2", "3"]}, r"data\.csv:2: label '0' is none of names: 1, 2, 3"),
    ("ids with a point", {"data.csv": rows_of(lambda i: f"{i % 3}.0")}, {"names": list(NAMES)}, r"data\.csv:2: label '0\.0' is no id"),
    ("ids and names", csv(b"a,bug\n", IDS), {"names": list(NAMES)}, r"data\.csv:22: label 'bug' is a name, and other rows hold ids"),
    ("an unknown name", csv(b"a,refund\n"), {"names": list(NAMES)}, r"data\.csv:22: label 'refund' is none of names: billing, bug, login"),
    ("an escape in a label", csv(b"a,\x1b[31mbug\n"), {}, r"data\.csv:22: .*label '\\x1b\[31mbug' holds what cannot be printed"),
    ("a line end in a label", csv(b'a,"b\nug"\n'), {}, r"data\.csv:22: .*cannot be printed"),
    ("a label of 300 characters", csv(b"a," + b"l" * 300 + b"\n"), {}, "at most 200 printable characters"),
    ("a text of labels of 140,000", csv(b'a,"' + b"l," * 60_000 + b'"\n'), COMMA, r"data\.csv:22: .*(an empty label|label twice)"),
    ("an empty label between", {"data.csv": WORDS + b"a,bug||login\n"}, BAR, r"data\.csv:22: .*an empty label"),
    ("a separator at the end", {"data.csv": WORDS + b"a,bug|\n"}, BAR, r"data\.csv:22: .*an empty label"),
    ("a label twice", {"data.csv": WORDS + b"a,bug|bug\n"}, BAR, r"data\.csv:22: .*'bug\|bug' has a label twice"),
    ("a label twice with spaces", {"data.csv": WORDS + b"a,bug| bug\n"}, BAR, r"data\.csv:22: .*has a label twice"),
    ("too many labels", {"data.csv": b"text,labels\n" + b"".join(b"t%d,%s\n" % (i, b"|".join(b"l%d" % (i * 1000 + j) for j in range(1000))) for i in range(11) ) }, BAR, r"data\.csv:12: .*more than 10,000 labels"),
    ("an id that is no text", {"data.csv": b"text,labels,id\n" + b'a,bug,"b\nc"\n' * 12}, {"ids": "id"}, r"data\.csv:2: column 'id' must hold ids"),
    # --- 0/1 columns
    ("a two", csv(b"a,0,2,0\n", HOT), HOT_LABELS, r"data\.csv:22: column 'bug' must hold 0 or 1: got '2'"),
    ("a blank", csv(b"a,0,,0\n", HOT), HOT_LABELS, r"data\.csv:22: column 'bug' must hold 0 or 1: got ''"),
    ("NONE", csv(b"a,NONE,NONE,NONE\n", HOT), HOT_LABELS, r"data\.csv:22: column 'billing' must hold 0 or 1: got 'NONE'"),
    ("never labelled", csv(b"a,-1,-1,-1\n", HOT), HOT_LABELS, r"data\.csv:22: .*-1 marks rows that were never labelled"),
    ("a probability", csv(b"a,0.7,0,0\n", HOT), HOT_LABELS, r"data\.csv:22: column 'billing' must hold 0 or 1: got '0\.7'"),
    ("nan", csv(b"a,nan,0,0\n", HOT), HOT_LABELS, r"data\.csv:22: .*got 'nan'"),
    ("a 0/1 column that is not there", {"data.csv": HOT}, {"labels": [*NAMES, "refund"]}, r"data\.csv: no column 'refund': the columns are text, billing, bug, login"),
    ("a column too few in 0/1", csv(b"a,0,1\n", HOT), HOT_LABELS, r"data\.csv:22: 3 columns: the header has 4"),
    # --- raters
    ("two texts of one id", csv(b"another,i3,r9,1,0,0\n", RATED), RATERS, "id 'i3' has two texts, 'ticket 3' and 'another'"),
    ("nobody agrees", {"data.csv": re.sub(rb",r[12],1,0,0", b",r9,0,0,0", RATED)}, RATERS, "no text on which 2 raters agreed"),
    ("no column of raters", {"data.csv": RATED}, {**RATERS, "rater": "by"}, r"data\.csv: no column 'by'"),
    # --- TSV with a header
    ("a tab in a text", {"data.tsv": CSV.replace(b",", b"\t") + b"a\tb\tbug\n"}, {}, r"data\.tsv:22: 3 columns: the header has 2"),
    ("a header of another name", {"data.tsv": b"tweet\tlabels\na\tbug\n"}, {}, r"data\.tsv:1: no column 'text': the first row holds 'tweet', 'labels'"),
    ("a quote that is not closed in TSV", {"data.tsv": CSV.replace(b",", b"\t") + b'"a\n"b\tc\n'}, {}, r"data\.tsv:2[23]: (no row of CSV|1 columns)"),
    # --- text;label
    ("no semicolon", {"data.txt": LINES + b"nothing here\n"}, {}, r"data\.txt:21: no semicolon in 'nothing here'"),
    ("a header", {"data.txt": b"body;tag\n" + LINES}, {}, r"data\.txt:1: label 'tag' stands in the first line alone, as a header's would"),
    ("three columns and no header", {"data.txt": b"a;b;c\n"}, {}, r"data\.txt:1: no column 'text'"),
    ("lines of one word", {"data.txt": b"hello\nworld\n"}, {}, r"data\.txt:1: no column 'text'"),
    ("a line alone in a cell", {"data.txt": LINES + b"a;[joy]\n"}, {}, r"data\.txt:21: .*is a list written as text"),
    # --- JSON lines
    ("not JSON", jsonl(b"{\n"), {}, r"data\.jsonl:21: not JSON"),
    ("a list", {"data.json": b'[{"text": "a", "labels": ["b"]}]'}, {}, r"data\.json:1: .*is no object: write one object a line"),
    ("a list over lines", {"data.json": b'[\n{"text": "a", "labels": ["b"]}\n]'}, {}, r"data\.json:1: not JSON .*no list around them"),
    ("a number", jsonl(b"3\n"), {}, r"data\.jsonl:21: 3 is no object"),
    ("a key twice", jsonl(b'{"text": "a", "text": "b", "labels": []}\n'), {}, r"data\.jsonl:21: not JSON \(a key stands twice"),
    ("NaN", jsonl(b'{"text": "a", "labels": NaN}\n'), {}, r"data\.jsonl:21: not JSON \(NaN is no number"),
    ("Infinity", jsonl(b'{"text": "a", "labels": [], "x": -Infinity}\n'), {}, r"data\.jsonl:21: not JSON"),
    ("nested deeply", jsonl(b'{"text": "a", "labels": ' + b"[" * 90_000 + b"]" * 90_000 + b"}\n"), {}, r"data\.jsonl:21: nested too deeply"),
    ("5,000 digits", jsonl(b'{"text": "a", "labels": [' + b"9" * 5000 + b"]}\n"), {}, r"data\.jsonl:21: not JSON"),
    ("400 digits in JSON", jsonl(b'{"text": "a", "labels": [' + b"9" * 400 + b"]}\n"), {}, r"data\.jsonl:21: label 9+\.\.\. is an integer, and other rows have names"),
    ("a key missing", jsonl(b'{"text": "a"}\n'), {}, r"data\.jsonl:21: no key 'labels'"),
    ("no such key", {"data.jsonl": JSONL}, {"labels": "tags"}, r"data\.jsonl: no column 'tags': the columns are text, labels"),
    ("a text that is none", jsonl(b'{"text": null, "labels": ["bug"]}\n'), {}, r"data\.jsonl:21: column 'text' must hold texts: got None"),
    ("a text that is a number", jsonl(b'{"text": 3, "labels": ["bug"]}\n'), {}, r"data\.jsonl:21: column 'text' must hold texts: got 3"),
    ("a text that is a list", jsonl(b'{"text": ["a"], "labels": ["bug"]}\n'), {}, r"data\.jsonl:21: column 'text' must hold texts: got \['a'\]"),
    ("half a pair in JSON", jsonl(b'{"text": "a\\ud800", "labels": ["bug"]}\n'), {}, r"data\.jsonl:21: .*half a surrogate pair"),
    ("half a pair in a label", jsonl(b'{"text": "a", "labels": ["b\\udfff"]}\n'), {}, r"data\.jsonl:21: .*cannot be printed"),
    ("NUL in JSON", jsonl(b'{"text": "a\\u0000", "labels": ["bug"]}\n'), {}, r"data\.jsonl:21: 'a\\x00' holds NUL"),
    ("NUL in a label in JSON", jsonl(b'{"text": "a", "labels": ["b\\u0000"]}\n'), {}, r"data\.jsonl:21: .*cannot be printed"),
    ("labels of booleans", jsonl(b'{"text": "a", "labels": [true]}\n'), {}, r"data\.jsonl:21: .*holds names or ids: got True"),
    ("labels true", jsonl(b'{"text": "a", "labels": true}\n'), {}, r"data\.jsonl:21: .*must be a list, a text or an integer: got True"),
    ("labels of decimals", jsonl(b'{"text": "a", "labels": [1.0]}\n'), {}, r"data\.jsonl:21: .*got 1\.0"),
    ("an object of labels", jsonl(b'{"text": "a", "labels": {"bug": 1}}\n'), {}, r"data\.jsonl:21: .*got \{'bug': 1\}"),
    ("a list of lists", jsonl(b'{"text": "a", "labels": [["bug"]]}\n'), {}, r"data\.jsonl:21: .*holds names or ids: got \['bug'\]"),
    ("null in a list", jsonl(b'{"text": "a", "labels": ["bug", null]}\n'), {}, r"data\.jsonl:21: .*got None"),
    ("an empty name", jsonl(b'{"text": "a", "labels": [""]}\n'), {}, r"data\.jsonl:21: .*an empty label"),
    ("a name twice", jsonl(b'{"text": "a", "labels": ["bug", "bug"]}\n'), {}, r"data\.jsonl:21: .*has a label twice"),
    ("an integer among names", jsonl(b'{"text": "a", "labels": [1]}\n'), {}, r"data\.jsonl:21: label 1 is an integer, and other rows have names"),
    ("integers without names", {"data.jsonl": JSONL.replace(b'"bug"', b"1") .replace(b'"billing"', b"0") .replace(b'"login"', b"2") }, {}, r"data\.jsonl:1: label 0 is an id, and nothing says"),
    ("minus one", {"data.jsonl": JSONL.replace(b'"bug"', b"-1") .replace(b'"billing"', b"0") .replace(b'"login"', b"2") }, {"names": list(NAMES)}, r"data\.jsonl:2: label id -1 is outside 0 to 2.*never labelled"),
    ("a flag of JSON", {"data.jsonl": b'{"text": "a", "bug": [1]}\n' * 12}, {"labels": ["bug"]}, r"data\.jsonl:1: column 'bug' must hold 0 or 1: got \[1\]"),
    ("null in a flag", {"data.jsonl": b'{"text": "a", "bug": null}\n' * 12}, {"labels": ["bug"]}, r"data\.jsonl:1: column 'bug' must hold 0 or 1: got None"),
    ("latin-1 in JSON", jsonl(b'{"text": "caf\xe9", "labels": []}\n'), {}, r"data\.jsonl:21: byte 0xe9"),
    ("an id that is a list", {"data.jsonl": b'{"text": "a", "labels": "b", "id": [1]}\n' * 12}, {"ids": "id"}, r"data\.jsonl:1: column 'id' must hold ids"),
    ("an id that is true", {"data.jsonl": b'{"text": "a", "labels": "b", "id": true}\n' * 12}, {"ids": "id"}, r"data\.jsonl:1: column 'id' must hold ids.*got True"),
    ("a long text in JSON", jsonl(b'{"text": "' + b"a" * 140_000 + b'", "labels": []}\n'), {}, r"data\.jsonl:21: a text of 140,000"),
    # --- parquet
    ("no parquet", {"data.parquet": b"PAR1 or not"}, {}, r"data\.parquet: cannot be read as parquet"),
    ("empty parquet", {"data.parquet": b""}, {}, r"data\.parquet: the file is empty"),
    ("half a file", {"data.parquet": parquet(text=TEXTS, labels=LISTS)["data.parquet"][:-40]}, {}, r"data\.parquet: cannot be read"),
    ("no column", parquet(text=TEXTS, tags=LISTS), {}, r"data\.parquet: no column 'labels': the columns are text, tags"),
    ("bytes for texts", parquet(text=[t.encode() for t in TEXTS], labels=LISTS), {}, r"data\.parquet: row 1: column 'text' must hold texts: got b'"),
    ("numbers for texts", parquet(text=list(range(20)), labels=LISTS), {}, r"data\.parquet: row 1: column 'text' must hold texts: got 0"),
    ("a text missing", parquet(text=[*TEXTS[:4], None, *TEXTS[5:]], labels=LISTS), {}, r"data\.parquet: row 5: column 'text' must hold texts: got None"),
    ("decimals for labels", parquet(text=TEXTS, labels=[1.5] * 20), {}, r"data\.parquet: row 1: .*got 1\.5"),
    ("structs for labels", parquet(text=TEXTS, labels=[{"a": 1}] * 20), {}, r"data\.parquet: row 1: .*got \{'a': 1\}"),
    ("null in parquet's list", parquet(text=TEXTS, labels=[["bug", None]] * 20), {}, r"data\.parquet: row 1: .*got None"),
    ("ids in parquet without names", parquet(text=TEXTS, labels=[[i % 3] for i in range(20)]), {}, r"data\.parquet: row 1: label 0 is an id"),
    ("flags in parquet", parquet(text=TEXTS, bug=[2] * 20), {"labels": ["bug"]}, r"data\.parquet: row 1: column 'bug' must hold 0 or 1: got 2"),
    ("a flag missing in parquet", parquet(text=TEXTS, bug=[None, *[1] * 19]), {"labels": ["bug"]}, r"data\.parquet: row 1: column 'bug' must hold 0 or 1: got None"),
    ("nan in parquet", parquet(text=TEXTS, bug=[float("nan")] * 20), {"labels": ["bug"]}, r"row 1: column 'bug' must hold 0 or 1: got nan"),
    ("a text that packs well", parquet(text=["a" * 10_000_000, *TEXTS[1:]], labels=LISTS), {}, r"data\.parquet, column 'text': a text of 10,000,000 bytes"),
    ("no rows in parquet", parquet(text=pa.array([], pa.string()), labels=pa.array([], pa.string())), {}, r"data\.parquet: the train split has no rows"),
    ("text for text in UTF-8", parquet(text=pa.array([b"caf\xe9"] * 20).view(pa.string()), labels=LISTS), {}, r"data\.parquet: cannot be read as parquet"),
    # --- endings
    ("another ending", {"data.xlsx": b"text,labels\n"}, {}, r"data\.xlsx: ending '\.xlsx' says no form"),
    ("no ending", {"data": b"text,labels\n"}, {}, "ending '' says no form"),
    ("a packed file", {"data.csv.gz": gzip.compress(CSV)}, {}, "is compressed with gzip"),
    ("parquet by another name", {"data.csv": parquet(text=TEXTS, labels=LISTS)["data.parquet"][:60]}, {}, r"data\.csv: cannot be read as parquet"),
    # --- options
    ("an empty separator", csv(b""), {"separator": ""}, "separator must be a text such as ',': got ''"),
    ("a number for a separator", csv(b""), {"separator": 3}, "separator must be a text"),
    ("text is labels", csv(b""), {"labels": "text"}, "column 'text' is asked for twice"),
    ("ids is text", csv(b""), {"ids": "text"}, "column 'text' is asked for twice"),
    ("no labels asked for", csv(b""), {"labels": []}, "labels: 0 labels"),
    ("a column of labels twice", {"data.csv": HOT}, {"labels": ["bug", "bug"]}, "labels: label 'bug' is there twice"),
    ("labels of no name", csv(b""), {"labels": ""}, "labels must be the name of a column: got ''"),
    ("labels of numbers", csv(b""), {"labels": [1, 2]}, "label names must be a list of texts"),
    ("labels of nothing", csv(b""), {"labels": 3}, "labels must be a column or a list of 0/1 columns: got 3"),
    ("text of nothing", csv(b""), {"text": 3}, "text must be the name of a column: got 3"),
    ("0/1 columns with a separator", {"data.csv": HOT}, {**HOT_LABELS, **COMMA}, "leave separator and names out"),
    ("0/1 columns with names", {"data.csv": HOT}, {**HOT_LABELS, "names": list(NAMES)}, "leave separator and names out"),
    ("names of nothing", csv(b""), {"names": 3}, "names must be a list of labels or a file: got 3"),
    ("names twice", csv(b""), {"names": ["a", "a"]}, "names: label 'a' is there twice"),
    ("a file of names that is not there", csv(b""), {"names": "no/such.txt"}, r"no/such\.txt: cannot read"),
    ("a rater without ids", {"data.csv": RATED}, {"labels": list(NAMES), "rater": "who"}, "rater needs ids"),
    ("a seed that is true", csv(b""), {"seed": True}, "seed must be an integer from 0: got True"),
    ("a seed below zero", csv(b""), {"seed": -1}, "seed must be an integer from 0: got -1"),
    ("a seed of text", csv(b""), {"seed": "0"}, "seed must be an integer from 0: got '0'"),
    ("a seed of 400 digits", csv(b""), {"seed": 10**400}, "seed must be an integer from 0: got 10+"),
    ("a fallback that is no label", csv(b""), {"fallback": "neutral"}, "fallback 'neutral' is none of the labels: they are billing, bug, login"),
    ("a name with a slash", csv(b""), {"name": "a/b"}, "name must be of letters, digits"),
    ("a name of nothing", csv(b""), {"name": ""}, "name must be of letters, digits"),
]
# fmt: on


def check_message(error: DataError, message: str) -> None:
    """One line that a terminal shows as it is, and that says what was expected."""
    line = str(error)
    assert re.search(message, line), line
    assert line.isprintable(), repr(line)
    assert len(line) < 700, len(line)


@pytest.mark.parametrize(
    ("files", "options", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_malformed_files(
    files: Files, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    data = [name for name in files if name != "labels.txt"]
    source = tmp_path / data[0] if len(data) == 1 else tmp_path
    with pytest.raises(DataError) as caught:
        load_dataset(source, **options)
    check_message(caught.value, message)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) + len(SOURCES) >= 200
    assert len({case[0] for case in CASES}) == len(CASES)


SOURCES: list[tuple[Any, str]] = [
    ("nowhere", r"data source 'nowhere' is no file or directory, nor sample, goemotions or hub:"),
    ("samples", "data source 'samples' is no file"),
    ("", "data source must be a path or a list of paths: got ''"),
    ([], r"data source must be a path or a list of paths: got \[\]"),
    (3, "data source must be a path or a list of paths: got 3"),
    (None, "data source must be a path or a list of paths: got None"),
    ([3], "data source must be a path or a list of paths: got 3"),
    (b"data.csv", r"data source must be a path or a list of paths: got"),
    ("a\0b", r"data source 'a\\x00b' is no file"),
    ("a" * 5_000, "is no file or directory"),
    ("a\nb", r"data source 'a\\nb' is no file"),
    ("\x1b[2J.csv", r"'\\x1b\[2J\.csv' is no file"),
    ({}, "data source has no splits and no train"),
    ({"train": "a.csv", "dev": "b.csv"}, "unknown split 'dev': known are test, train, validation"),
    ({"train": "FILE", "validation": "FILE"}, "data source has train, validation and no test"),
    ({"validation": "FILE", "test": "FILE"}, "data source has validation, test and no train"),
    ({"train": "nowhere.csv"}, r"data source, train 'nowhere\.csv' is no file"),
    ({"train": 3}, "data source, train must be a path or a list of paths: got 3"),
    ({"train": "FILE", "test": "FILE"}, "the test split has the same texts as the train split"),
    (
        {"train": "FILE", "validation": "OTHER", "test": "OTHER"},
        "same texts as the validation split",
    ),
    ({"train": "DIRECTORY"}, r"ending '' says no form|no regular file"),
    ("FIFO", r"fifo\.csv: no regular file: pass a file"),
    ("DEVICE", r"(device\.csv|zero): no regular file: pass a file"),
    ("LOOP", "is no file or directory"),
    ("hub:owner/name", r"data source 'hub:owner/name': expected hub:owner/name@COMMIT"),
    ("hub:owner/name@main", "40 hex digits, which pin the data; a branch or a tag moves"),
    ("hub:owner/name@v1.0", "40 hex digits"),
    ("hub:owner/name@abc1234", "40 hex digits"),
    ("hub:name@" + "a" * 40, "expected hub:owner/name@COMMIT"),
    ("hub:../../etc@" + "a" * 40, "expected hub:owner/name@COMMIT"),
    ("hub:", "expected hub:owner/name@COMMIT"),
    ("hub:owner/name:a/b@" + "a" * 40, "expected hub:owner/name@COMMIT"),
]


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Files and what is none, by the words that stand for them in `SOURCES`."""
    found = {
        "FILE": tmp_path / "data.csv",
        "OTHER": tmp_path / "other.csv",
        "DIRECTORY": tmp_path / "directory",
        "FIFO": tmp_path / "fifo.csv",
        "DEVICE": tmp_path / "device.csv",
        "LOOP": tmp_path / "loop.csv",
    }
    found["FILE"].write_bytes(CSV)
    found["OTHER"].write_bytes(CSV.replace(b"ticket", b"another"))
    found["DIRECTORY"].mkdir()
    os.mkfifo(found["FIFO"])
    found["DEVICE"].symlink_to("/dev/zero")
    found["LOOP"].symlink_to("loop.csv")
    return found


@pytest.mark.parametrize(("source", "message"), SOURCES)
def test_malformed_sources(source: Any, message: str, places: dict[str, Path]) -> None:
    if isinstance(source, dict):
        source = {split: places.get(path, path) for split, path in source.items()}
    elif isinstance(source, str):
        source = places.get(source, source)
    with pytest.raises(DataError) as caught:
        load_dataset(source)
    check_message(caught.value, message)


@pytest.mark.parametrize(
    "option", [{"text": "tweet"}, {"labels": "emotion"}, {"separator": ","}, {"names": ["a", "b"]}]
)
def test_goemotions_names_its_own_columns(option: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="goemotions names its own columns"):
        load_dataset("goemotions", **option)
