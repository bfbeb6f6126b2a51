"""A bundle behind HTTP: a bounded queue, of which what waits is predicted together.

    pip install 'goemo-eval[serve]'
    BUNDLE=bundle uvicorn --factory serve:create_app
    curl -s localhost:8000/predict -d '{"text": "I was charged twice"}'

A copy to start from: limits, logs, and who may ask, are yours to decide.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field, ValidationError

from goemo_eval import Bundle, load_bundle

MOST_CHARACTERS = 10_000  # of a text
MOST_BYTES = 65_536  # of a request's body
MOST_WAITING = 256  # requests; more are turned away at once, and nobody waits for long
MOST_TOGETHER = 32  # texts of a batch

Queue = asyncio.Queue[tuple[str, asyncio.Future[Any]]]


class Question(BaseModel, extra="forbid"):
    """What a client sends."""

    text: Annotated[str, Field(max_length=MOST_CHARACTERS)]


def create_app(directory: str | None = None) -> FastAPI:
    """Return the server of a bundle; by default, of the directory that BUNDLE names."""
    bundle = load_bundle(directory or os.environ["BUNDLE"])
    queue: Queue = asyncio.Queue(MOST_WAITING)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(work(bundle, queue))
        yield
        worker.cancel()

    app = FastAPI(title=bundle.info.cell, lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "cell": bundle.info.cell, "waiting": queue.qsize()}

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        text, answer = await text_of(request), asyncio.get_running_loop().create_future()
        try:
            queue.put_nowait((text, answer))
        except asyncio.QueueFull:
            raise HTTPException(503, "busy: try again", {"Retry-After": "1"}) from None
        found = await answer
        return {"labels": found.labels, "scores": found.scores}

    return app


async def work(bundle: Bundle, queue: Queue) -> None:
    """Answer what waits, batch by batch, until it is cancelled."""
    while True:
        together = [await queue.get()]
        while len(together) < MOST_TOGETHER and not queue.empty():
            together.append(queue.get_nowait())
        texts = [text for text, _ in together]
        tried = asyncio.to_thread(bundle.predict, texts)
        (found,) = await asyncio.gather(tried, return_exceptions=True)
        for i, (_, answer) in enumerate(together):
            if answer.done():  # given up
                continue
            if isinstance(found, BaseException):  # a 500 to each; the next batch is served
                answer.set_exception(found)
            else:
                answer.set_result(found[i])


async def text_of(request: Request) -> str:
    """Return the text of a request's body, of which no more is read than the limit."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"the body may have {MOST_BYTES:,} bytes at most")
    try:
        return Question.model_validate_json(body).text
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise HTTPException(422, f"{where}: {first['msg']}") from None
