"""What the commands say that calls will cost: by the same prices as what calls cost."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from cli.estimate import estimate
from docmill.llm.types import Usage
from docmill.settings import load_settings
from tasks.loads import prices_of

OWN = """
[models.small]
provider = "mistral"
model = "m"
base_url = "http://127.0.0.1:1"
[prices."mistral/m"]
input = "2"
output = "8"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "docmill.toml"
    path.write_text(OWN, encoding="utf-8")
    monkeypatch.setenv("DOCMILL_CONFIG", str(path))
    return path


def test_a_forecast_knows_a_price_that_stands_in_a_table_of_its_own(config: Path) -> None:
    assert prices_of(load_settings(), "m") == (Decimal(2), Decimal(8))


def test_a_forecast_knows_the_price_of_a_model_that_is_configured_no_more(config: Path) -> None:
    config.write_text('[prices.gone]\ninput = "1"\noutput = "3"\n', encoding="utf-8")
    assert prices_of(load_settings(), "gone") == (Decimal(1), Decimal(3))


def test_a_forecast_takes_the_price_of_calls_as_they_are_made(config: Path) -> None:
    """A prompt of more than 200,000 tokens costs twice as much there."""
    config.write_text('[models.small]\nprovider = "gemini"\nmodel = "gemini-2.5-pro"\n', encoding="utf-8")
    assert prices_of(load_settings(), "gemini-2.5-pro") == (Decimal("1.25"), Decimal(10))


def test_an_estimate_knows_a_price_that_stands_in_a_table_of_its_own(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(3):
        (documents / f"{number}.txt").write_text(f"Receipt {number}: total 13.50 EUR", encoding="utf-8")
    estimate([documents], prompt="receipt", as_json=True)
    found = json.loads(capsys.readouterr().out)
    settings = load_settings()
    usage = Usage(input_tokens=found["input_tokens"], output_tokens=found["output_tokens"])
    right = settings.models.cost(settings.models.find("small"), usage).usd
    assert found["calls"] == 3
    assert right is not None
    assert Decimal(found["cost_usd"]) == right
