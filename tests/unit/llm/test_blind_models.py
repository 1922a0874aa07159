"""What providers say of pictures that they do not take: classified as what it is, whatever the status."""

from __future__ import annotations

import pytest

from docmill.errors import Failure, Repair
from docmill.llm import classify
from docmill.llm.wire import learn
from docmill.llm.wire.eyes import takes_no_images
from docmill.remedies import Policy, Tried, decide

CERTAIN = "Invalid content type. image_url is only supported by certain models."
SERDE = (
    "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`,"
    " expected `text` at line 1 column 80"
)
MMPROJ = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
BLIND = [
    ("openai", 400, {"message": CERTAIN, "type": "invalid_request_error", "code": None,
                     "param": "messages.[0].content.[1].type"}),
    ("deepseek", 400, {"message": SERDE, "type": "invalid_request_error", "code": "invalid_request_error"}),
    ("openrouter", 404, {"message": "No endpoints found that support image input", "code": 404}),
    ("llamacpp", 500, {"message": MMPROJ, "type": "server_error", "code": 500}),
    ("ollama", 500, "this model is missing data required for image input"),
    ("ollama", 400, "this model is missing data required for image input"),
    ("vllm", 400, {"message": "At most 0 image(s) may be provided in one prompt.", "type": "BadRequestError"}),
    ("vllm", 400, {"message": "text-7b is not a multimodal model", "type": "BadRequestError"}),
    ("groq", 400, {"message": "messages[1].content must be a string", "type": "invalid_request_error"}),
    ("lmstudio", 400, "Model does not support images. Please use a model that does."),
    ("together", 422, {"message": "This model doesn't support image input."}),
    ("mistral", 400, {"message": "Image input is not enabled for this model", "type": "invalid_request_error"}),
    ("xai", 400, {"code": "Client specified an invalid argument", "message": "Image inputs are not supported."}),
    ("openai-compatible", 500, {"message": "This is a text-only model", "type": "server_error"}),
    ("openai-compatible", 503, {"message": "Multimodal content is not supported by this server"}),
]  # fmt: skip
AT_FAULT = [
    ("vllm", 400, "At most 4 image(s) may be provided in one prompt. (parameter=image)"),
    ("anthropic", 400, ("messages.0.content.52.image.source.base64.data: At least one of the image dimensions exceed"
                       " max allowed size for many-image requests: 2000 pixels")),
    ("anthropic", 400, "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6891234 > 5242880"),
    ("anthropic", 400, "Could not process image"),
    ("openai", 400, ("The image data you provided does not represent a valid image. Please check your input and try"
                    " again with one of the supported image formats: ['image/jpeg', 'image/png'].")),
    ("gemini", 400, "Unable to process input image. Please retry or report in the troubleshooting guide."),
    ("groq", 413, "maximum allowed size for a request containing a base64 encoded image is 4MB"),
    ("openai-compatible", 400, "unsupported image format"),
    ("openai-compatible", 500, "Failed to load image"),
    ("openai-compatible", 400, "This model does not support image format image/heic"),
    ("openai-compatible", 400, "does not support image/avif"),
    ("openai-compatible", 400, "the model does not support images larger than 2000 pixels: image is too large"),
]  # fmt: skip


def failed(provider: str, status: int, told: object) -> Failure:
    body = {"error": told} if provider != "ollama" else {"error": str(told)}
    failure = classify(provider=provider, status=status, headers={}, body=body)
    assert failure is not None
    return failure


@pytest.mark.parametrize(("provider", "status", "told"), BLIND)
def test_a_model_without_eyes_is_known_for_one(provider: str, status: int, told: object) -> None:
    failure = failed(provider, status, told)
    assert (failure.kind, failure.repair) == ("bad_request", Repair(action="no_images"))
    assert failure.retry_after_s is None


@pytest.mark.parametrize(("provider", "status", "told"), AT_FAULT)
def test_a_picture_at_fault_brands_no_model(provider: str, status: int, told: str) -> None:
    failure = failed(provider, status, {"message": told})
    assert failure.kind == "bad_request"
    assert failure.repair is None or failure.repair.action != "no_images"


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (429, "Rate limit reached for images are not supported", "rate_limited"),
        (401, "Incorrect API key provided", "auth"),
        (404, "The model `sim-eyes` does not exist", "not_found"),
        (503, "The server is overloaded", "overloaded"),
        (400, "max_tokens must be a number", "bad_request"),
    ],
)
def test_other_failures_stay_what_they_are(status: int, told: str, kind: str) -> None:
    failure = failed("openai", status, {"message": told})
    assert failure.kind == kind
    assert failure.repair is None or failure.repair.action != "no_images"


def test_a_url_that_is_not_available_is_no_blindness() -> None:
    assert not takes_no_images("The image is not available at that address")
    assert not takes_no_images("this image is not supported")


def test_the_model_is_remembered_and_never_asked_again_with_a_picture() -> None:
    failure = failed("openrouter", 404, BLIND[2][2])
    assert failure.repair is not None
    assert learn({"drop": ["top_p"]}, failure.repair) == {"drop": ["top_p"], "images": False}
    tried = [Tried(kind="bad_request", model="small")]
    upwards = decide(failure, tried, Policy(ladder=("small", "large")))
    assert (upwards.action, upwards.model, upwards.repair) == ("next_model", "large", failure.repair)
    alone = decide(failure, tried, Policy(ladder=("small",)))
    assert (alone.action, alone.repair) == ("fail", failure.repair)
    assert "images = true" in alone.reason
    as_text = decide(failure, tried, Policy(ladder=("small",), may_read=True))
    assert (as_text.action, as_text.repair) == ("cut_context", failure.repair)
    again = decide(failure, [*tried, *tried], Policy(ladder=("small",), may_read=True))
    assert again.action == "fail"
