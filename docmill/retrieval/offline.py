"""The embedding model that comes with docmill: ``wordllama``, 256 dimensions, English first, no network.

Its weights lie in its wheel. It runs on this process's CPU, so nobody bills it.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

__all__ = ["DIMENSIONS", "NAME", "embed_offline"]

NAME = "wordllama"
DIMENSIONS = 256
TOKENIZER = "l2_supercat_tokenizer_config.json"

one_at_a_time = threading.Lock()
"""Its tokenizer uses all cores already."""


def embed_offline(texts: Sequence[str]) -> list[list[float]]:
    """A vector of length 1 for each text; of length 0 for one without a word. Raises Misconfigured."""
    if not texts:
        return []
    import numpy as np  # memory that workers go without until they need it

    with one_at_a_time:
        means = np.asarray(_model().embed([text or " " for text in texts]), dtype=np.float32)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    vectors: list[list[float]] = np.divide(means, lengths, out=np.zeros_like(means), where=lengths > 0).tolist()
    return vectors


@cache
def _model() -> WordLlamaInference:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        import wordllama
    except ModuleNotFoundError as error:
        raise Misconfigured(
            "the offline embedding model is not installed: install docmill's extra `app`, "
            "or name another as DOCMILL_EMBEDDING"
        ) from error
    # Its import sets the root logger up, which is the application's business.
    root.handlers[:] = handlers
    root.setLevel(level)
    package = Path(wordllama.__file__).parent
    # It looks for its tokenizer in a folder of another name than its wheel has.
    with tempfile.TemporaryDirectory(prefix="docmill-") as folder:
        (Path(folder) / "tokenizers").mkdir()
        shutil.copy(package / "tokenizers" / TOKENIZER, Path(folder) / "tokenizers")
        return wordllama.WordLlama.load(cache_dir=Path(folder), disable_download=True)
