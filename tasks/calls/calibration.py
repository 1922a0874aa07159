"""How far docmill's count of tokens is from a model's own, learned from what its answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from db import model_state
from docmill.llm.tokens import counter_for, learn_picture_ratio, learn_ratio
from docmill.settings import Model, ModelTable

__all__ = ["learn_picture_tokens", "learn_tokens"]


def learn_tokens(
    connection: Connection,
    model: Model | ModelTable,
    known: Mapping[str, Any],
    *,
    estimated: int,
    counted: int,
    at_once: bool = False,
) -> None:
    """Keeps how far our count is from the provider's, where that is news; ``known`` as it was last read."""
    if counter_for(model.model).encoding is not None:
        return

    def change(learned: Mapping[str, Any]) -> Mapping[str, Any]:
        return learn_ratio(learned, estimated=estimated, counted=counted, at_once=at_once) or learned

    if change(known) is not known:
        model_state.learn(connection, model, change)


def learn_picture_tokens(
    connection: Connection,
    model: Model | ModelTable,
    known: Mapping[str, Any],
    *,
    words: int,
    pictures: int,
    counted: int,
) -> None:
    """Keeps how far the published rule of pictures is from the provider's count, where that is news."""

    def change(learned: Mapping[str, Any]) -> Mapping[str, Any]:
        told = counter_for(model.model, learned).scaled(words)
        return learn_picture_ratio(learned, words=told, pictures=pictures, counted=counted) or learned

    if change(known) is not known:
        model_state.learn(connection, model, change)
