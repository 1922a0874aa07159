"""Secrets that are read again, and so cannot be kept as hashes: encrypted with a key from the environment."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from docmill.errors import Misconfigured

__all__ = ["Seal", "new_key"]


def new_key() -> str:
    """Makes a key, as ``DOCMILL_WEBHOOK_KEY`` takes it."""
    return Fernet.generate_key().decode()


class Seal:
    """Encrypts by the first of the keys, which are parted by commas, and opens what any of them encrypted.

    Raises Misconfigured for what is no key.
    """

    def __init__(self, keys: str) -> None:
        try:
            self._keys = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError as error:
            raise Misconfigured(
                "DOCMILL_WEBHOOK_KEY is no key, which is 32 random bytes in URL-safe base64: "
                "`docmill webhooks key` makes one"
            ) from error

    def close(self, secret: bytes) -> bytes:
        """Encrypts a secret."""
        return self._keys.encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """Decrypts a secret. Raises Misconfigured where none of the keys fits."""
        try:
            return self._keys.decrypt(sealed)
        except InvalidToken as error:
            raise Misconfigured(
                "DOCMILL_WEBHOOK_KEY is another key than the one that a webhook's secret was encrypted with: "
                "name both, the new one first, or make the webhook anew"
            ) from error
