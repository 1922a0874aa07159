"""Nouns of the command: what is kept, each with ``list``, which is also what the bare noun says, and its verbs."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

__all__ = ["Noun"]

HELP = ("-h", "--help")


class Noun(TyperGroup):
    """``docmill jobs`` lists, with all options of ``docmill jobs list``; ``docmill jobs 7`` shows the 7th."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._with_verb(args))

    def _with_verb(self, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first in self.commands or first in HELP:
            return args
        if self.invoke_without_command:  # the bare noun lists by itself
            return args[1:] if first == "list" else args
        if first.isdecimal() and "show" in self.commands:
            return ["show", *args]
        listed = "list" in self.commands and (not first or first.startswith("-"))
        return ["list", *args] if listed else args
