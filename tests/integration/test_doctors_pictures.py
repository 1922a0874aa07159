"""``docmill doctor`` asks models that docmill does not know whether they take pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.checks.pictures import examine_pictures
from docmill.errors import Misconfigured
from docmill.settings import load_settings
from docmill.simulator import Simulator
from docmill.simulator.eyes import Eyes, Shown


class Quick(Eyes):
    """Nobody has to read what a probe shows."""

    def read(self, pictures: object) -> tuple[str, ...]:
        assert all(isinstance(each, Shown) for each in pictures)  # type: ignore[attr-defined] # a sequence
        return ()


def examined(tmp_path: Path, config: str) -> str:
    async def go() -> str:
        async with Simulator(eyes=Quick()) as simulator:
            (tmp_path / "docmill.toml").write_text(config.replace("URL", simulator.url), encoding="utf-8")
            settings = load_settings(config=tmp_path / "docmill.toml", llm_url=simulator.url)
            return await asyncio.to_thread(examine_pictures, settings)

    return asyncio.run(go())


def test_what_is_known_needs_no_call_and_what_is_said_is_tried(tmp_path: Path) -> None:
    config = '[models.a]\nmodel = "sim-small"\n[models.b]\nmodel = "sim-text"\n[models.c]\nmodel = "sim-large"\nimages = true\n'
    assert examined(tmp_path, config) == "a takes pictures, b takes no pictures, c takes pictures"


def test_what_is_said_wrongly_is_found(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"eyes takes no pictures, and docmill\.toml says images = true"):
        examined(tmp_path, '[models.eyes]\nmodel = "sim-text"\nimages = true\n')


def test_a_model_that_does_not_answer_is_no_problem_of_its_eyes(tmp_path: Path) -> None:
    told = examined(tmp_path, '[models.odd]\nmodel = "nobody-knows"\nbase_url = "http://127.0.0.1:9"\n')
    assert told == "odd does not tell whether it takes pictures"
