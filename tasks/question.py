"""A question to a collection: its vector, made once, and the passages that say most about it.

The vector comes from this process (the offline model), from an earlier time, or from one call, which is in the
ledger like any other but belongs to no job. Somebody waits for it, so it waits for nobody long.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from db import budgets, collections, embeddings, ledger, model_state
from db.budgets import Refusal
from db.chunks import digest
from db.model_state import ModelState
from db.search import Hit, Mode, Question, search
from db.submit import Submission, check_answerable
from docmill.errors import EmbeddingAway, Failure, Misconfigured
from docmill.llm.limits import Limits
from docmill.llm.tokens import counter_for
from docmill.retrieval import offline
from docmill.retrieval.embedding import Embedding
from docmill.retrieval.languages import searchable
from docmill.settings import Model
from prompts import PromptVersion
from tasks.calls import admission
from tasks.calls.closing import Closure, close
from tasks.calls.embedding import ask, worst_case
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.services import Services

__all__ = ["Asker", "passages_for", "submission_of", "vector_for"]

OTHERS_S = 0.1
"""After so long it is looked again for a vector that another process asks for."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, for the ledger, the budgets and the provider's limits."""

    tenant: str = "default"
    feature: str = "default"
    usr: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))
    lane: str = "interactive"
    attempt: int = 0
    history: Sequence[Mapping[str, Any]] = ()


def passages_for(
    services: Services,
    collection: str,
    words: str,
    *,
    asker: Asker,
    limit: int = 10,
    mode: Mode = "hybrid",
    wanted: Mapping[str, Any] | None = None,
    each_document: int | None = None,
) -> list[Hit]:
    """The passages of the tenant's collection that say most about the words; ``wanted`` filters by meta.

    Raises CollectionUnknown, and what :func:`vector_for` raises.
    """
    while True:
        found = services.database.run(collections.find, asker.tenant, collection)
        # In quarantine nobody calls models: there the words alone find what they can.
        wordy = mode == "text" or (found.model != offline.NAME and services.caller is None)
        vector = None if wordy else vector_for(services, found.model, words, asker=asker)
        question = Question(
            words=searchable(words),
            vector=vector,
            limit=limit,
            mode=mode,
            filter=wanted or {},
            each_document=each_document,
        )
        with services.database.work() as connection:
            now = collections.find(connection, asker.tenant, collection)
            if now.model == found.model:
                return search(connection, now, question)
        # Another model took over in between, and has the vectors from now on.


def submission_of(
    connection: Connection,
    prompt: PromptVersion,
    collection: str,
    words: str,
    *,
    tenant: str = "default",
    **options: Any,
) -> Submission:
    """A question as a job: the document is the question, and a parameter names the collection.

    ``options`` are fields of a Submission. Raises CollectionUnknown; Misconfigured for a prompt that looks into no
    collection, and where nothing is asked; SubmitRefused where no worker could answer.
    """
    parameter = prompt.config.retrieval.collection
    if parameter is None:
        raise Misconfigured(
            f"prompt {prompt} looks into no collection: take `answer`, or name a parameter as `collection` "
            f"under [retrieval] in its prompt.toml"
        )
    if not words.strip():
        raise Misconfigured("there is nothing to answer: ask something")
    collections.find(connection, tenant, collection)
    check_answerable(connection, prompt.name, prompt.version)
    asked: dict[str, Any] = {"lane": "interactive", "params": {}, **options}
    asked["params"] = {**asked["params"], parameter: collection}
    return Submission(
        prompt=prompt.name,
        version=prompt.version,
        body=words.encode(),
        media_type="text/plain",
        name="question",
        tenant=tenant,
        **asked,
    )


def vector_for(services: Services, name: str, words: str, *, asker: Asker) -> list[float]:
    """The words' vector by the embedding model of that name.

    Raises Misconfigured for a model that cannot be asked, EmbeddingAway where it cannot be asked now.
    """
    if name == offline.NAME:
        return offline.embed_offline([words])[0]
    model = services.settings.models.get(name)
    give_up_at = time.monotonic() + services.settings.call_deadline_s
    while True:
        vector = services.database.run(embeddings.vector_of, name, digest(words, asker.tenant))
        state = services.database.run(model_state.state_of, model)
        if vector is not None:
            return vector
        if state.hold_s > 0:
            message = f"it is held for another {state.hold_s:.0f} s: `docmill models release {name}` ends that"
            raise EmbeddingAway(name, Failure(kind="rate_limited", message=message, retry_after_s=state.hold_s))
        probes = state.hold_cause is not None
        if probes and not services.database.run(model_state.take_probe, model, for_s=services.settings.lease_s):
            continue  # somebody else tries whether its hold is over
        vector = _call(services, _prepared(model, state, words, asker))
        if probes and vector is not None:
            services.database.run(model_state.release, model)
        if vector is not None:
            return vector
        if time.monotonic() > give_up_at:
            raise EmbeddingAway(name, Failure(kind="timeout", message="another process asks for the same"))
        time.sleep(OTHERS_S)


@dataclass(frozen=True, kw_only=True)
class QuestionCall:
    """A call about to be made."""

    job: Asker
    model: Model
    words: str
    tokens: int
    intent: ledger.Intent
    part: int = 0

    @property
    def limits(self) -> Limits:
        return self.model.limits


def _prepared(model: Model, state: ModelState, words: str, asker: Asker) -> QuestionCall:
    intent = ledger.Intent(
        id=uuid4(),
        content_hash=b"",
        input_hash=hashlib.sha256(b"\0".join((model.model.encode(), digest(words, asker.tenant)))).digest(),
        provider=model.provider,
        account=model.account,
        model=model.model,
        request={},
        remedy=None,
        reserved_usd=worst_case(model, [words]),
        owner="",
    )
    tokens = counter_for(model.model, state.learned).count(words)
    return QuestionCall(job=asker, model=model, words=words, tokens=tokens, intent=intent)


def _call(services: Services, call: QuestionCall) -> list[float] | None:
    """The vector; None where another process asks for it. Raises EmbeddingAway, Misconfigured."""
    slot = admission.at_the_door(services, call)
    if slot.wait_s > 0:
        message = f"the provider's limits have room in {slot.wait_s:.0f} s"
        raise EmbeddingAway(
            call.model.name, Failure(kind="rate_limited", message=message, retry_after_s=slot.wait_s)
        )
    opened_at = time.monotonic()
    try:
        opened = _open(services, call)
    except EmbeddingAway:
        admission.give_back(services, call)
        raise
    if not opened:
        admission.give_back(services, call)
        return None
    answer = ask(services, call.model, [call.words], call.intent.id, opened_at=opened_at)
    admission.tell(services, call, answer.outcome)
    _store(services, call, answer)
    if answer.vectors is None:
        raise EmbeddingAway(call.model.name, answer.outcome.failure or Failure(kind="server_error"))
    services.database.run(collections.model_id, call.model.name, len(answer.vectors[0]))
    return answer.vectors[0]


def _store(services: Services, call: QuestionCall, answer: Embedding) -> None:
    """Keeps what was paid for; in the spool, where the database went away meanwhile. Raises EmbeddingAway."""
    closure = Closure(
        job_id=None,
        epoch=0,
        settlement=settlement_of(call.intent.id, call.model, answer.outcome, call.intent.reserved_usd),
        embedding_model=call.model.name,
        vectors={digest(call.words, call.job.tenant).hex(): answer.vectors[0]} if answer.vectors else {},
    )

    def settle() -> None:
        close(services.database, closure, message_s=services.message_s)

    try:
        settle_or_spool(services, settle, lambda: closure, held_s=0)
    except OSError as error:  # neither takes it: it is in doubt from now on, and the ledger will say so
        failure = Failure(kind="connection", message="the database and the spool's disk are away")
        raise EmbeddingAway(call.model.name, failure) from error


def _open(services: Services, call: QuestionCall) -> bool:
    """Claims the words and writes the intent; False where another process asks. Raises EmbeddingAway."""
    lease_s = services.settings.lease_s
    with services.database.work() as connection:
        claimed = embeddings.claim(
            connection, call.model.name, [digest(call.words, call.job.tenant)], call.intent.id, lease_s=lease_s
        )
        if not claimed:
            return False
        covering = _reserved(connection, services, call)
        ledger.open_jobless(connection, call.job, call.intent, purpose="embed", lease_s=lease_s, budgets=covering)
        embeddings.mark_question(connection, call.intent.id)
    return True


def _reserved(connection: Connection, services: Services, call: QuestionCall) -> Sequence[int]:
    need_usd = call.intent.reserved_usd
    if need_usd is None and services.settings.unpriced == "allow":
        return ()
    found = budgets.reserve(connection, call.job, need_usd, timezone=services.settings.timezone)
    if isinstance(found, Refusal):
        raise EmbeddingAway(call.model.name, Failure(kind="budget", message=found.message))
    return found.budgets
