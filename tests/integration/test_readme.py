"""The README's blocks that are marked as run do what they say, in their order, against a stack of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.stack import RunningStack, data, start

__all__ = ["data", "start"]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- run -->\n```\n(.*?)```", re.DOTALL)


def blocks() -> list[str]:
    return BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


def truth(order: str) -> dict[str, Any]:
    """What an example order says, read by its form."""
    said = dict(re.findall(r"^([A-Z][\w ]*): (.+)$", order, re.MULTILINE))
    rows = re.findall(r"^(\S.*?)\s{2,}(\d+)\s+([\d.]+)\s+([\d.]+)$", order, re.MULTILINE)
    day, month, year = said["Date"].split("/")
    return {
        "order_no": said["Order no"],
        "date": f"{year}-{month}-{day}",
        "supplier": {"name": said["Name"], "city": said["City"]},
        "lines": [
            {"item": item, "qty": int(qty), "price": float(price), "amount": float(amount)}
            for item, qty, price, amount in rows
        ],
        "total": float(re.findall(r"^Total\s+([\d.]+)$", order, re.MULTILINE)[0]),
        "paid": said["Paid"] == "yes",
    }


def test_the_first_day_with_a_prompt_of_ones_own_goes_as_the_readme_tells(
    start: Callable[..., RunningStack], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    stack = start(DOCMILL_PROMPTS=str(tmp_path / "mine"))
    before = stack.pids
    script = "set -e\n" + "\n".join(blocks())
    env = {name: value for name, value in os.environ.items() if not name.startswith("DOCMILL_")}
    env |= {"DOCMILL_DATA": str(stack.data), "DOCMILL_LLM_URL": stack.simulator_url}
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert stack.states() == {"done": 60}
    assert stack.pids == before, "nothing was restarted"
    orders = {
        path.name: truth(path.read_text(encoding="utf-8")) for path in (ROOT / "examples" / "orders").iterdir()
    }
    answers = stack.query(
        "select jobs.name, results.value, jobs.id from jobs join results on job_id = jobs.id order by jobs.id"
    )
    for answer in answers[:30]:
        assert answer.value == {name: value for name, value in orders[answer.name].items() if name != "paid"}
    for answer in answers[30:]:
        assert answer.value == orders[answer.name]
    assert len({answer.name for answer in answers[:30]}) == len({answer.name for answer in answers[30:]}) == 30
