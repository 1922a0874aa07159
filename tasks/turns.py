"""Turns of the tenants at a process that computes.

The broker's queues are first in, first out. Where one tenant's documents take long, another's wait behind all that
the first has in the queue. So a message whose tenant had its turn here while another was waiting goes back to
Postgres, from where it is sent anew, behind the other.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from db.turns import Waiting

__all__ = ["Turns"]

QUICK_S = 0.25
"""While no stage here takes longer, queues are short, and nobody asks whose turn it is."""
SLOW_FOR_S = 60.0
"""After one that did, it is asked for so long."""
ALONE_FOR_S = 0.25
"""After a look that found nobody waiting, in whatever lane, so long it is not asked again; less than anybody waits
unasked."""
MOST_TENANTS = 1000


@dataclass(kw_only=True)
class Turns:
    """When each tenant's last turn at this process began."""

    clock: Callable[[], float] = time.monotonic
    _began: OrderedDict[str, float] = field(default_factory=OrderedDict, init=False)
    _slow_until: float = field(default=-math.inf, init=False)
    _alone_until: float = field(default=-math.inf, init=False)

    @property
    def matter(self) -> bool:
        """Whether anything here took long lately, so that others may have waited, and may do so now."""
        return self._alone_until <= self.clock() < self._slow_until

    def note(self, tenant: str, began: float) -> None:
        """Notes a turn that is over."""
        self._began[tenant] = began
        self._began.move_to_end(tenant)
        if len(self._began) > MOST_TENANTS:
            self._began.popitem(last=False)
        now = self.clock()
        if now - began > QUICK_S:
            self._slow_until = now + SLOW_FOR_S

    def is_due(self, seen: Waiting) -> bool:
        """Returns whether it is the tenant's turn: nobody has waited since before its last, without a turn since.

        Never where it holds its share already.
        """
        if seen.beyond_share:
            return False
        if seen.of_all and not seen.others:
            self._alone_until = self.clock() + ALONE_FOR_S
        last, now = self._began.get(seen.tenant), self.clock()
        if last is None:
            return True
        return not any(
            now - waited_s < last and self._began.get(other, -math.inf) < last
            for other, waited_s in seen.others.items()
        )
