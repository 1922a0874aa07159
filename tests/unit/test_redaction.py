"""No secret of an address is ever shown, and everything else of it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Misconfigured
from docmill.redaction import redacted

PASSWORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="\"'<>"), min_size=1
)
HOSTS = st.sampled_from(("db", "db:5432", "[::1]:6379", "10.0.0.1", "models.example"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:sesame@db:5432/docmill?sslmode=require", "postgresql://me:***@db:5432/docmill?sslmode=require"),
        ("postgresql+psycopg://me:s@e/s@me@db/docmill", "postgresql+psycopg://me:***@db/docmill"),
        ("redis://:sesame@cache:6379/0", "redis://:***@cache:6379/0"),
        ("rediss://default:sesame@cache/0", "rediss://default:***@cache/0"),
        ("amqp://guest:sesame@mq//", "amqp://guest:***@mq//"),
        ("redis+socket:///tmp/a.sock?virtual_host=0&password=sesame", "redis+socket:///tmp/a.sock?virtual_host=0&password=***"),
        ("https://sesame@models.example/v1", "https://***@models.example/v1"),
        ("https://me:sesame@models.example/v1", "https://***@models.example/v1"),
        ("HTTPS://me:sesame@models.example", "HTTPS://***@models.example"),
        ("https://models.example/v1?key=sesame", "https://models.example/v1?key=***"),
        ("https://models.example/v1?alt=sse&api-key=sesame&v=2", "https://models.example/v1?alt=sse&api-key=***&v=2"),
        ("https://models.example/?subscription-key=sesame#a", "https://models.example/?subscription-key=***#a"),
        ("https://models.example/?X-Amz-Signature=sesame", "https://models.example/?X-Amz-Signature=***"),
        ("https://models.example/?access_token=sesame", "https://models.example/?access_token=***"),
        ("https://models.example/?client_secret=sesame", "https://models.example/?client_secret=***"),
        ("host=db user=me password=sesame dbname=docmill", "host=db user=me password=*** dbname=docmill"),
        ("host=db password='ses\\'ame x' dbname=docmill", "host=db password=*** dbname=docmill"),
        ("no answer (postgresql://me:sesame@db/x), and (redis://:sesame@c): start it", "no answer (postgresql://me:***@db/x), and (redis://:***@c): start it"),
        # what is no secret
        ("postgresql://db:5432/docmill", "postgresql://db:5432/docmill"),
        ("postgresql://me@db/docmill", "postgresql://me@db/docmill"),
        ("https://models.example/v1/users/@me?page=2", "https://models.example/v1/users/@me?page=2"),
        ("http://127.0.0.1:8080/costs?by=feature", "http://127.0.0.1:8080/costs?by=feature"),
        ("write to billing@models.example", "write to billing@models.example"),
        ("an idempotency key was used: give another", "an idempotency key was used: give another"),
        ("", ""),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_the_rest_is_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert str(Misconfigured(f"it is away: {text}")) == f"it is away: {shown}", "no error tells more"


@given(PASSWORDS, HOSTS, st.sampled_from(("postgresql", "redis", "amqps", "redis+socket", "postgresql+psycopg")))
def test_no_password_of_a_server_is_shown_whatever_it_is_made_of(password: str, host: str, scheme: str) -> None:
    marked = f"SESAME{password}SESAME"
    found = redacted(f"mend {scheme}://me:{marked}@{host}/name and come again")
    assert "SESAME" not in found
    assert found == f"mend {scheme}://me:***@{host}/name and come again"


@given(
    PASSWORDS,
    st.sampled_from(("key", "api_key", "API-KEY", "token", "secret", "sig", "password", "X-Amz-Credential")),
)
def test_no_parameter_that_is_named_like_a_secret_is_shown(value: str, name: str) -> None:
    value = "SESAME" + "".join(character for character in value if character not in "&;#")
    assert "SESAME" not in redacted(f"https://models.example/v1?a=1&{name}={value}&b=2")


@pytest.mark.parametrize(
    "part", ["a://b:c", "https://", "?key=", "password='\\", "://:@", "a:b@", "x" * 10 + "://"]
)
def test_it_takes_time_by_length_alone(part: str) -> None:
    def took_s(times: int) -> float:
        text = part * times
        began = time.thread_time()
        redacted(text)
        return time.thread_time() - began

    short, long = (min(took_s(times) for _ in range(3)) for times in (2000, 16_000))
    assert long < 40 * max(short, 1e-4)
