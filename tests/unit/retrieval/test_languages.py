"""Which language a text is in, and scripts without spaces."""

from __future__ import annotations

import pytest

from docmill.retrieval.languages import language_of, searchable


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("This agreement is governed by the laws of the state in which it was made.", "english"),
        ("Dieser Vertrag unterliegt dem Recht des Landes, in dem er geschlossen wurde.", "german"),
        ("Le présent contrat est régi par la loi du pays où il a été conclu.", "french"),
        ("本合同受其签订地法律的管辖。", "simple"),
        ("   ", "simple"),
    ],
)
def test_a_language_is_named_as_postgres_names_it(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_script_without_spaces_is_read_in_pairs() -> None:
    assert searchable("防守丢了 308 分。").split() == ["防守", "守丢", "丢了", "308", "分", "。"]


def test_other_scripts_stay_as_they_are() -> None:
    assert searchable("Straße 5, it's") == "Straße 5, it's"
