"""Responses with a good status that are no good: errors of every maker in every wrapping, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docmill.llm import classify, read_reply

ERRORS: tuple[tuple[Any, str], ...] = (
    # MiniMax
    ({"base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded(RPM)"}}, "rate_limited"),
    ({"base_resp": {"status_code": "1039", "status_msg": "TPM"}}, "rate_limited"),
    ({"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "no"}}, "quota_exhausted"),
    ({"choices": [], "base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "auth"),
    ({"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}, "auth"),
    ({"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}, "content_filtered"),
    ({"base_resp": {"status_code": 1027, "status_msg": ""}}, "content_filtered"),
    ({"base_resp": {"status_code": 1013, "status_msg": "unknown error"}}, "server_error"),
    ({"base_resp": {"status_code": 1001, "status_msg": ""}}, "timeout"),
    ({"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}, "bad_request"),
    ({"base_resp": {"status_code": 77, "status_msg": "brand new"}}, "server_error"),
    # Baidu
    ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, "rate_limited"),
    ({"error_code": 336501, "error_msg": "RPM limit reached"}, "rate_limited"),
    ({"error_code": 17, "error_msg": "Open api daily request limit reached"}, "quota_exhausted"),
    ({"error_code": 110, "error_msg": "Access token invalid or no longer valid"}, "auth"),
    ({"error_code": 336100, "error_msg": "try again later"}, "overloaded"),
    ({"error_code": 336103, "error_msg": "prompt tokens too long"}, "context_overflow"),
    ({"error_code": 336003, "error_msg": "messages length must be odd"}, "bad_request"),
    ({"error_code": 1, "error_msg": "Unknown error"}, "server_error"),
    # DashScope
    ({"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded", "request_id": "r"}, "rate_limited"),
    ({"code": "Throttling", "message": "…", "output": None}, "rate_limited"),
    ({"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}, "content_filtered"),
    ({"code": "InvalidApiKey", "message": "Invalid API-key provided."}, "auth"),
    ({"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}, "quota_exhausted"),
    ({"code": "AllocationQuota.FreeTierOnly", "message": "The free tier is exhausted"}, "quota_exhausted"),
    ({"code": "InternalError.Timeout", "message": "…"}, "timeout"),
    ({"code": "ModelNotFound", "message": "Model not exist."}, "not_found"),
    ({"code": "InternalError", "message": "An internal error has occured."}, "server_error"),
    # Zhipu
    ({"error": {"code": "1302", "message": "您的账户已达到速率限制，请您控制请求频率"}}, "rate_limited"),
    ({"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}, "quota_exhausted"),
    ({"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}, "content_filtered"),
    ({"error": {"code": "1261", "message": "Prompt 超长"}}, "context_overflow"),
    ({"error": {"code": "1211", "message": "模型不存在"}}, "not_found"),
    ({"error": {"code": "1000", "message": "身份验证失败"}}, "auth"),
    # Cloudflare, FastAPI, gateways
    ({"success": False, "errors": [{"code": 10000, "message": "Authentication error"}], "result": None}, "auth"),
    ({"success": False, "errors": [{"code": 3040, "message": "Capacity temporarily exceeded"}]}, "overloaded"),
    ({"success": False, "message": "Rate limit exceeded"}, "rate_limited"),
    ({"success": False, "error": "Insufficient credits"}, "quota_exhausted"),
    ({"success": False}, "server_error"),
    ({"ok": False, "error": "timed out"}, "timeout"),
    ({"detail": "Model is loading"}, "overloaded"),
    ({"detail": "Model llama is currently loading"}, "overloaded"),
    ({"detail": "Not authenticated"}, "auth"),
    ({"detail": "Too Many Requests"}, "rate_limited"),
    ({"detail": "Internal Server Error"}, "server_error"),
    ({"detail": {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}}, "rate_limited"),
    ({"detail": [{"loc": ["body", "model"], "msg": "field required", "type": "value_error.missing"}]}, "bad_request"),
    ({"error": True, "message": "upstream timed out"}, "timeout"),
    ({"error": {"message": "…", "code": 429}}, "rate_limited"),
    ({"error": {"message": "Provider returned error", "code": 503}}, "overloaded"),
    ({"error": ["first", "second"]}, "server_error"),
    ({"errors": ["quota exceeded"]}, "quota_exhausted"),
    ({"message": "Too many requests, please wait before trying again.", "__type": "ThrottlingException"}, "rate_limited"),
    ({"code": 401, "msg": "invalid key", "data": None}, "auth"),
    ({"code": 500, "msg": "系统繁忙", "data": []}, "server_error"),
    ({"code": 1, "msg": "fail"}, "server_error"),
    ({"status": 429, "title": "Too Many Requests", "detail": "Slow down"}, "rate_limited"),
    ({"statusCode": 503, "message": "Service Unavailable"}, "overloaded"),
    ({"fault": {"faultstring": "Rate limit quota violation", "detail": {"errorcode": "x"}}}, "rate_limited"),
    ({"Response": {"Error": {"Code": "AuthFailure", "Message": "Unauthorized"}, "RequestId": "r"}}, "auth"),
    ({"ResponseMetadata": {"Error": {"Code": "Throttling", "Message": "…"}}}, "rate_limited"),
    ({"header": {"code": 10013, "message": "input content is sensitive", "sid": "s"}}, "content_filtered"),
    ({"object": "error", "message": "The model is not ready", "code": 503}, "overloaded"),
    ({"result": None, "error": {"message": "capacity"}, "success": False}, "overloaded"),
    ({"data": {"error": {"message": "insufficient_quota"}}}, "quota_exhausted"),
    ({"body": json.dumps({"error": {"code": "insufficient_quota", "message": "…"}})}, "quota_exhausted"),
    # filters that leave no answer
    (
        {"id": "", "choices": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": True}}}]},
        "content_filtered",
    ),
    (
        {"choices": [], "prompt_filter_results": [{"content_filter_results": {"lists": [{"filtered": True}]}}]},
        "content_filtered",
    ),
    ({"candidates": [{"finishReason": "STOP", "safetyRatings": [{"blocked": True}]}]}, "content_filtered"),
    ({"choices": [], "prompt_annotations": [{"content_filter_results": {"x": {"filtered": True}}}]}, "content_filtered"),
    (
        {
            "choices": [
                {
                    "message": {"content": ""},
                    "finish_reason": "stop",
                    "content_filter_results": {"violence": {"filtered": True, "severity": "high"}},
                }
            ]
        },
        "content_filtered",
    ),
    ({"choices": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": False}}}]}, "server_error"),
    # no answer at all
    ({}, "server_error"),
    ([], "server_error"),
    (None, "server_error"),
    (17, "server_error"),
    ("", "server_error"),
    ("   \n", "server_error"),
    ("null", "server_error"),
    ("[]", "server_error"),
    ("OK", "server_error"),
    ("Too Many Requests", "rate_limited"),
    ("<!DOCTYPE html><html><head><title>Sign in</title></head></html>", "server_error"),
    ("data: [DONE]\n\n", "server_error"),
    ({"choices": []}, "server_error"),
    ({"choices": None}, "server_error"),
    ({"choices": {}}, "server_error"),
    ({"choices": [None]}, "server_error"),
    ({"choices": [{}]}, "server_error"),
    ({"choices": [{"message": None, "finish_reason": "stop"}]}, "server_error"),
    ({"choices": [{"message": {"content": []}, "finish_reason": "stop"}]}, "server_error"),
    ({"object": "chat.completion"}, "server_error"),
    ({"id": "c", "model": "m", "created": 1}, "server_error"),
    ({"object": "response", "status": "completed", "output": []}, "server_error"),
    ({"type": "message", "content": [], "stop_reason": "end_turn"}, "server_error"),
    ({"candidates": []}, "server_error"),
    ({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "load"}, "server_error"),
    ({"status": "starting", "output": None, "id": "x"}, "server_error"),
    ({"object": "chat.completion", "data": []}, "server_error"),
)  # fmt: skip


@pytest.mark.parametrize(("body", "kind"), ERRORS, ids=[json.dumps(body)[:60] for body, _ in ERRORS])
def test_an_error_with_a_good_status_is_the_failure_it_tells(body: Any, kind: str) -> None:
    failure = classify(provider="openai-compatible", status=200, headers={}, body=body)
    assert failure is not None
    assert failure.kind == kind
    reply = read_reply(provider="openai-compatible", status=200, headers={}, body=body)
    assert reply.text == ""


NO_ERRORS: tuple[Any, ...] = (
    None,
    "",
    {},
    [],
    False,
    0,
    "none",
    {"code": 0, "message": "success"},
    {"message": ""},
)


@pytest.mark.parametrize("error", NO_ERRORS, ids=repr)
def test_an_error_that_says_there_is_none_takes_no_answer_away(error: Any) -> None:
    body = {
        "error": error,
        "base_resp": {"status_code": 0, "status_msg": "success"},
        "success": True,
        "choices": [{"message": {"content": '{"a": 1}'}, "finish_reason": "stop"}],
    }
    assert classify(provider="openai-compatible", status=200, headers={}, body=body) is None


def test_an_error_beside_an_answer_is_an_error() -> None:
    body = {
        "error": {"message": "Provider disconnected", "code": 502},
        "choices": [{"message": {"content": '{"a": 1}'}, "finish_reason": "stop"}],
    }
    failure = classify(provider="openrouter", status=200, headers={}, body=body)
    assert failure is not None
    assert failure.kind == "server_error"
    assert read_reply(provider="openrouter", status=200, headers={}, body=body).finish_reason == "error"


OTHERS: tuple[Any, ...] = (
    {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 3}},
    {"object": "list", "data": []},
    {"embeddings": [[0.5]], "model": "m", "prompt_eval_count": 3},
    {"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 3}},
    [[0.5, 0.25]],
    {"data": [{"id": "m", "type": "model"}], "has_more": False},
    {"models": [{"name": "m"}]},
    [{"id": "a"}, {"id": "b"}],
    {"input_tokens": 12},
    {"totalTokens": 12},
    {"object": "batch", "id": "b", "status": "in_progress"},
)  # fmt: skip


@pytest.mark.parametrize("body", OTHERS, ids=repr)
def test_what_is_good_and_no_models_reply_stays_good(body: Any) -> None:
    assert classify(provider="openai-compatible", status=200, headers={}, body=body) is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # A page of a proxy is no verdict on the key; words of a provider are.
        (403, "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", "server_error"),
        (403, "<html><head><title>403 Forbidden</title></head></html>", "server_error"),
        (403, "error code: 1020", "server_error"),
        (403, {"error": "Attention Required! | Cloudflare"}, "server_error"),
        (403, {"error": {"message": "You do not have access"}}, "auth"),
        (403, "", "auth"),
        (401, "<html><head><title>401 Authorization Required</title></head></html>", "auth"),
        (401, "<html><head><title>Sign in to the guest network</title></head></html>", "server_error"),
        (401, "", "auth"),
        (403, {"message": "API rate limit exceeded for user"}, "rate_limited"),
        (429, "<html><title>429 Too Many Requests</title></html>", "rate_limited"),
        (503, "<html><title>Service Unavailable</title></html>", "overloaded"),
        (429, {"error": {"code": "1113", "message": "余额不足或无可用资源包，请充值。"}}, "quota_exhausted"),
        (429, {"error": {"code": "1302", "message": "并发数过高"}}, "rate_limited"),
        (400, {"code": "DataInspectionFailed", "message": "…"}, "content_filtered"),
        (424, {"error": "Request failed during generation: …", "error_type": "generation"}, "server_error"),
        (429, {"message": "…", "__type": "ModelNotReadyException"}, "overloaded"),
        (400, {"__type": "ThrottlingException", "message": "…"}, "rate_limited"),
        (400, {"error": {"message": "The answer's output limit was reached", "code": None}}, "truncated"),
        (400, {"error": {"message": "max_tokens must be at most 4096"}}, "bad_request"),
        (400, {"error": {"message": "Max completion tokens reached before the document was valid"}}, "truncated"),
        (400, {"error": {"message": "The response was truncated"}}, "truncated"),
        (429, {"error": {"message": "Tokens per minute limit reached"}}, "rate_limited"),
        (
            400,
            {
                "error": {
                    "message": "Failed to generate JSON. Please adjust your prompt.",
                    "code": "json_validate_failed",
                    "failed_generation": "max completion tokens reached before generating a valid document",
                }
            },
            "truncated",
        ),
        (400, {"error": {"code": "json_validate_failed", "failed_generation": '{"a": '}}, "bad_request"),
        (
            400,
            {
                "error": {
                    "message": "Could not finish the message because max_tokens or model output limit was reached."
                    " Please try again with higher max_tokens.",
                    "type": "invalid_request_error",
                }
            },
            "truncated",
        ),
    ],
)
def test_a_bad_status_is_what_its_words_and_its_maker_say(status: int, body: Any, kind: str) -> None:
    failure = classify(provider="openai-compatible", status=status, headers={}, body=body)
    assert failure is not None
    assert failure.kind == kind
