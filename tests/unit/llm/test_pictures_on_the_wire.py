"""Requests with pictures, each in its provider's documented shape; those without are as they always were."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from docmill.llm.types import Message, Picture, Request
from docmill.llm.wire import WIRES, wire_for

PNG = b"\x89PNG\r\n\x1a\n and so on"
DATA = base64.b64encode(PNG).decode()
PICTURE = Picture(
    document_id=7,
    page=3,
    width=100,
    height=140,
    dots_an_inch=144,
    media_type="image/png",
    sha256="ab" * 32,
    size=len(PNG),
    tokens=20,
    most_tokens=22,
    content=PNG,
)
LABEL, TEXT = {"type": "text", "text": "Page 3:"}, {"type": "text", "text": "U"}


def asked(*pictures: Picture, **fields: Any) -> Request:
    messages = (Message(role="system", content="S"), Message(role="user", content="U", pictures=pictures))
    return Request(model="m", messages=messages, max_output_tokens=64, **fields)


def image(**extra: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}", **extra}}


@pytest.mark.parametrize("provider", ["openai", "azure", "xai", "mistral", "simulator"])
def test_the_chat_shape_names_the_detail(provider: str) -> None:
    system, user = wire_for(provider).body(asked(PICTURE))["messages"]
    assert system == {"role": "system", "content": "S"}
    assert user == {"role": "user", "content": [LABEL, image(detail="high"), TEXT]}


@pytest.mark.parametrize("provider", ["vllm", "llamacpp", "lmstudio", "openai-compatible", "groq", "deepseek"])
def test_servers_that_know_no_detail_are_sent_none(provider: str) -> None:
    user = wire_for(provider).body(asked(PICTURE))["messages"][1]
    assert user["content"] == [LABEL, image(), TEXT]


def test_openrouter_wants_the_text_first() -> None:
    user = wire_for("openrouter").body(asked(PICTURE))["messages"][1]
    assert user["content"] == [TEXT, LABEL, image(detail="high")]


def test_a_detail_that_was_rejected_is_left_out() -> None:
    user = wire_for("xai").body(asked(PICTURE), {"drop": ["detail"]})["messages"][1]
    assert user["content"][1] == image()


def test_anthropic_is_told_not_to_shrink() -> None:
    body = wire_for("anthropic").body(asked(PICTURE))
    source = {"type": "base64", "media_type": "image/png", "data": DATA}
    whole = {"type": "image", "source": source, "transformations": {"oversized_image": "error"}}
    assert body["messages"] == [{"role": "user", "content": [LABEL, whole, TEXT]}]
    older = wire_for("anthropic").body(asked(PICTURE), {"drop": ["transformations"]})["messages"][0]["content"]
    assert older[1] == {"type": "image", "source": source}


def test_gemini_has_the_resolution_of_the_whole_request() -> None:
    body = wire_for("gemini").body(asked(PICTURE))
    inline = {"inlineData": {"mimeType": "image/png", "data": DATA}}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Page 3:"}, inline, {"text": "U"}]}]
    assert body["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_HIGH"
    assert "mediaResolution" not in wire_for("gemini").body(asked())["generationConfig"]


def test_ollama_has_raw_base64_beside_the_text_and_a_window_for_it() -> None:
    wire = wire_for("ollama")
    body = wire.body(asked(PICTURE, replace(PICTURE, page=5, tokens=9000)))
    assert body["messages"][1]["images"] == [DATA, DATA]
    assert body["messages"][1]["content"] == "Pictures of pages, in order: 3, 5\nU"
    assert body["options"]["num_ctx"] > 9000 > wire.body(asked(PICTURE))["options"]["num_ctx"]


@pytest.mark.parametrize("provider", sorted(WIRES))
def test_without_pictures_each_message_is_a_plain_text(provider: str) -> None:
    sent = json.dumps(wire_for(provider).body(asked()))
    assert '"content": "U"' in sent or '"parts": [{"text": "U"}]' in sent
    assert "image" not in sent
    assert "detail" not in sent


@pytest.mark.parametrize("provider", sorted(WIRES))
def test_a_picture_without_its_bytes_is_never_sent(provider: str) -> None:
    with pytest.raises(ValueError, match="page 3"):
        wire_for(provider).body(asked(replace(PICTURE, content=b"")))


def test_the_word_json_in_base64_is_no_word() -> None:
    odd = replace(PICTURE, content=base64.b64decode("json" * 8))
    first = wire_for("openai").body(asked(odd), {"say_json": True})["messages"][0]["content"]
    assert first == "S\nAnswer in json."


def test_what_is_kept_names_the_picture_and_has_none_of_its_bytes() -> None:
    kept = Message(role="user", content="U", pictures=(PICTURE,)).as_json()
    assert kept["pictures"] == [
        {"document_id": 7, "page": 3, "dots_an_inch": 144, "width": 100, "height": 140, "media_type": "image/png",
         "sha256": "ab" * 32, "detail": "high"}
    ]  # fmt: skip
    assert DATA not in json.dumps(kept)
    assert DATA not in repr(PICTURE)
    assert str(PNG) not in repr(asked(PICTURE))
    assert Message(role="user", content="U").as_json() == {"role": "user", "content": "U"}
