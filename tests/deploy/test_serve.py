"""The example server: answers as the bundle does, batches what waits, and says what it does not take."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.deploy.bundle import Bundle, Prediction, load_bundle
from goemo_eval.records.schema import Record

pytest.importorskip("fastapi", reason="pip install 'goemo-eval[serve]'")
pytest.importorskip("uvicorn", reason="pip install 'goemo-eval[serve]'")
from fastapi.testclient import TestClient

BundleOf = Callable[[str], tuple[Path, Record]]
EXAMPLES = Path(__file__).parents[2] / "examples"
FLOOR = "tfidf-raw-linear-int8"


@pytest.fixture(scope="module")
def serve() -> Any:
    spec = spec_from_file_location("serve", EXAMPLES / "serve.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(bundle_of: BundleOf) -> Path:
    return bundle_of(FLOOR)[0]


@pytest.fixture
def client(serve: Any, path: Path) -> Iterator[TestClient]:
    with TestClient(serve.create_app(str(path))) as found:
        yield found


def test_it_answers_as_the_bundle_does(client: TestClient, path: Path) -> None:
    for text in ("thank you so much", "", "\0", "😂" * 100):
        answer = client.post("/predict", json={"text": text})
        (expected,) = load_bundle(path).predict([text])
        assert answer.status_code == 200
        assert answer.json() == {"labels": list(expected.labels), "scores": expected.scores}
    assert client.get("/health").json() == {"status": "ok", "cell": FLOOR, "waiting": 0}


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"", 422, "body: Invalid JSON"),
        (b"{", 422, "body: Invalid JSON"),
        (b"[]", 422, "body: Input should be an object"),
        (b"[" * 60_000, 422, "recursion limit"),
        (b"{}", 422, "text: Field required"),
        (b'{"text": 3}', 422, "text: Input should be a valid string"),
        (b'{"text": "x", "more": 1}', 422, "more: Extra inputs"),
        (b'{"text": "\\ud83d"}', 422, "body: Invalid JSON"),
        (b'{"text": "\xff"}', 422, "body: Invalid JSON"),
        (b'{"text": "' + b"x" * 10_001 + b'"}', 422, "at most 10000 characters"),
        (b'{"text": "' + b"x" * 65_536 + b'"}', 413, "65,536 bytes at most"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_question_is_told_why(
    client: TestClient, body: bytes, code: int, said: str
) -> None:
    answer = client.post("/predict", content=body)
    assert answer.status_code == code
    assert said in answer.json()["detail"]
    assert client.post("/predict", json={"text": "thanks"}).status_code == 200


def test_no_more_of_a_body_is_read_than_the_limit(client: TestClient) -> None:
    read = []

    def endless() -> Iterator[bytes]:  # it says no length
        for part in range(1000):
            read.append(part)
            yield b"x" * 10_000

    assert client.post("/predict", content=endless()).status_code == 413


class Held:
    """A bundle that answers when it is let, and tells what it was asked together."""

    def __init__(self, bundle: Bundle) -> None:
        self.info = bundle.info
        self.asked: list[int] = []
        self.go = threading.Event()
        self._bundle = bundle

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        self.asked.append(len(texts))
        assert self.go.wait(60)
        if "fail" in texts:
            raise RuntimeError("on demand")
        return self._bundle.predict(texts)


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_waits_is_predicted_together_and_no_more_waits_than_may(
    serve: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(load_bundle(path))
    monkeypatch.setattr(serve, "load_bundle", lambda _: held)
    monkeypatch.setattr(serve, "MOST_WAITING", 8)
    monkeypatch.setattr(serve, "MOST_TOGETHER", 5)
    texts = [f"thank you {i}" for i in range(9)]
    with TestClient(serve.create_app("any")) as client, ThreadPoolExecutor(9) as pool:

        def ask(text: str) -> Any:
            return client.post("/predict", json={"text": text})

        first = pool.submit(ask, texts[0])
        until(lambda: held.asked == [1])
        others = [pool.submit(ask, text) for text in texts[1:]]
        until(lambda: client.get("/health").json()["waiting"] == 8)
        busy = ask("one too many")
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        held.go.set()
        answers = [first.result(), *(other.result() for other in others)]
    assert held.asked == [1, 5, 3]
    expected = load_bundle(path).predict(texts)
    assert [a.json()["scores"] for a in answers] == [p.scores for p in expected]


def test_what_fails_is_not_the_next_ones_failure(
    serve: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(load_bundle(path))
    held.go.set()
    monkeypatch.setattr(serve, "load_bundle", lambda _: held)
    with TestClient(serve.create_app("any"), raise_server_exceptions=False) as client:
        assert client.post("/predict", json={"text": "fail"}).status_code == 500
        assert client.post("/predict", json={"text": "thanks"}).status_code == 200


def test_the_command_that_it_names(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "uvicorn", "--factory", "serve:create_app", "--port", str(port)]
    environment = {**os.environ, "BUNDLE": str(path)}
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert server.poll() is None
        try:
            return bool(urllib.request.urlopen(f"{url}/health", timeout=10).status == 200)
        except urllib.error.URLError:
            return False

    with subprocess.Popen([sys.executable, *words], cwd=EXAMPLES, env=environment) as server:
        try:
            until(is_up)
            body = json.dumps({"text": "thank you"}).encode()
            answer = urllib.request.urlopen(f"{url}/predict", body, timeout=60)
            assert set(json.load(answer)) == {"labels", "scores"}
        finally:
            server.terminate()
        server.wait(60)
