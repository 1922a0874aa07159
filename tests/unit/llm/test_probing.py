"""Whether a model takes pictures, as servers say it that can be asked."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from docmill.llm.wire import WIRES, wire_for
from docmill.llm.wire.probing import CANARY, canary, probe_of

ANSWERS = [
    ("ollama", "http://h:11434/v1", "http://h:11434/api/show", {"capabilities": ["completion", "vision"]}, True),
    ("ollama", "http://h:11434", "http://h:11434/api/show", {"capabilities": ["completion"]}, False),
    ("llamacpp", "http://h:8080/v1", "http://h:8080/props", {"modalities": {"vision": False}}, False),
    ("llamacpp", "http://h:8080", "http://h:8080/props", {"modalities": {"vision": True}}, True),
    ("lmstudio", "http://h:1234/v1", "http://h:1234/api/v1/models",
     {"models": [{"key": "other"}, {"key": "m", "capabilities": {"vision": True}}]}, True),
    ("openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/models",
     {"data": [{"id": "m", "architecture": {"input_modalities": ["text"]}}]}, False),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "base_url", "url", "body", "sees"), ANSWERS)
def test_a_server_that_knows_says_so(provider: str, base_url: str, url: str, body: object, sees: bool) -> None:
    probe = probe_of(provider, base_url, "m")
    assert probe is not None
    assert probe.url == url
    assert probe.read(body) is sees
    nothing: object
    for nothing in (None, [], "text", {}, {"modalities": "vision"}, {"capabilities": {}}, {"data": [1]}):
        assert probe.read(nothing) is None


def test_others_are_sent_a_small_picture() -> None:
    assert probe_of("groq", "https://api.groq.com", "m") is None
    with Image.open(io.BytesIO(CANARY)) as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")
    for provider in WIRES:
        assert wire_for(provider).body(canary("m"))
