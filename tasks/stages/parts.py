"""Complete, for a document in parts: a call for each part that has no answer yet, several at once.

One task makes them all, in waves: as many parts as the limits have room for have their intents and their money in
one commit, then their calls run beside each other on the loop, and each reply is stored as it comes. A job that is
driven again asks for what is missing alone (docs/decisions/0120).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from db import parts, transitions
from db.jobs import Job
from docmill.errors import Failure, FailureKind, Misconfigured
from docmill.parts import Part
from tasks import remedies
from tasks.calls.settling import setback_of
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.setbacks import policy_of
from tasks.stages.part_calls import Asking, PartCall, part_key
from tasks.stages.parting import plan_of
from tasks.stages.step import Step, Stop, fail, go_on
from tasks.stages.wave import Failed, Wave

__all__ = ["ask_parts"]

IN_FLIGHT_S = 5.0
"""After so long a job looks again whether calls that an earlier run of it had open have come to something."""
FIRST: Sequence[FailureKind] = ("auth", "not_found", "bad_request", "quota_exhausted", "timeout", "connection")
"""Of several failures the one whose remedy is followed: what no further call can mend comes first."""


def ask_parts(services: Services, job: Job) -> Step:
    """Asks for every part that has no answer, and goes on to parse when all have."""
    prompt = prompt_of(services, job)
    if job.document is None or job.document.text is None:
        gone = Failure(kind="unreadable", message="the document was deleted")
        return services.database.run(fail, job, gone)
    asking = Asking(services=services, job=job, prompt=prompt, text=job.document.text, plan=plan_of(job))
    try:
        return _Run(asking=asking).run()
    except Misconfigured as error:
        return services.database.run(fail, job, Failure(kind="not_found", message=str(error)))


@dataclass(kw_only=True)
class _Run:
    """One run of a job's task, which claims the job with its first wave."""

    asking: Asking
    claimed: bool = False
    overflowed: set[int] = field(default_factory=set)
    """Parts that are larger than the model takes."""
    unknown: set[int] = field(default_factory=set)
    """Parts that the cache was asked for in vain."""

    @property
    def services(self) -> Services:
        return self.asking.services

    @property
    def job(self) -> Job:
        return self.asking.job

    def run(self) -> Step:
        step = None
        while step is None:
            standing = self.services.database.run(parts.standing, self.job)
            step = self._stopped(standing) or self._wave(standing)
        return step

    def _stopped(self, standing: Mapping[int, parts.Standing]) -> Step | None:
        """What is done where no call is to be made; None where one is."""
        doubtful = self._too_doubtful(standing)
        if doubtful is not None:
            return self.services.database.run(fail, self.job, doubtful)
        missing = self._missing(standing)
        if not missing:
            return self._onward()
        if all(part.number in standing and standing[part.number].open for part in missing):
            return self._wait_for_others()
        return None

    def _missing(self, standing: Mapping[int, parts.Standing]) -> list[Part]:
        """Parts without an answer."""
        return [
            part
            for part in self.asking.plan.parts
            if not part.lost
            and part.number not in self.overflowed
            and not (part.number in standing and standing[part.number].answered)
        ]

    def _too_doubtful(self, standing: Mapping[int, parts.Standing]) -> Failure | None:
        """After calls of unknown outcome about a part, which may all be billed, a person decides about another."""
        most = policy_of(self.services, self.asking.prompt, self.job, jitter=0.0).in_doubt
        worst = max((each.doubts for each in standing.values() if not each.answered), default=0)
        if worst < most:
            return None
        message = (
            f"{worst} calls about one part are of unknown outcome: see the provider's bill, then `docmill retry`"
        )
        return Failure(kind="in_doubt", message=message)

    def _onward(self) -> Step:
        context = None
        if self.overflowed:
            context = {**(self.job.context or {}), "overflowed": sorted(self.overflowed)}
        message_s = self.services.message_s
        return self.services.database.run(go_on, self.job, "parse", message_s=message_s, context=context)

    def _wait_for_others(self) -> Step:
        """What an earlier run has open is not asked twice: it may still be answered, and paid."""
        self.services.database.run(transitions.hold, self.job, "rate", for_s=IN_FLIGHT_S)
        return Stop("held: parts in flight")

    def _wave(self, standing: Mapping[int, parts.Standing]) -> Step | None:
        """A wave of the calls that nobody has open; None to go on with what it brought."""
        missing = self._missing(standing)
        unasked = [part for part in missing if part.number not in standing or not standing[part.number].open]
        calls = [self.asking.call(part) for part in unasked]
        self.asking = self.asking.of_work(calls)
        calls = [replace(call, job=self.job) for call in calls if not self._is_known(call)]
        if not calls:
            return None
        sent = Wave(asking=self.asking, missing=calls, claimed=self.claimed).send()
        if not isinstance(sent, list):
            return sent
        self.claimed = True
        return self._remedied(sent)

    def _is_known(self, call: PartCall) -> bool:
        """Whether the cache has the part's answer, which is written down then."""
        policy = self.asking.prompt.config.cache
        if self.job.fresh or not policy.enabled or call.about.corrects is not None or call.part in self.unknown:
            return False
        self.unknown.add(call.part)
        key = part_key(self.job.tenant, call.intent.input_hash, call.intent.content_hash)
        hit = self.services.cache.get(key, kept_s=policy.kept_s, holds="text")
        if hit is None:
            return False
        known = parts.KnownPart(
            part=call.part,
            request=call.intent.request,
            reply={"text": hit.value["text"], "finish_reason": "stop"},
            input_hash=call.intent.input_hash,
            content_hash=call.intent.content_hash,
            model=hit.model,
            saved_usd=hit.cost_usd,
            layer=hit.layer,
        )
        self.services.database.run(parts.note_cached, self.job, known)
        return True

    def _remedied(self, failed: Sequence[Failed]) -> Step | None:
        """The remedy of the gravest failure: what was answered beside it stays, and is asked for no more."""
        self.overflowed |= {each.call.part for each in failed if each.failure.kind == "context_overflow"}
        rest = [each for each in failed if each.failure.kind != "context_overflow"]
        if not rest:
            return None
        order = {kind: place for place, kind in enumerate(FIRST)}
        worst = min(rest, key=lambda each: order.get(each.failure.kind, len(FIRST)))
        asker = self.job.but(model=self.asking.model_of(worst.call.about))
        with self.services.database.work() as connection:
            setback = setback_of(self.services, replace(worst.call, job=asker), worst.failure, answered=False)
            return remedies.apply(connection, self.services, setback)
