"""A version is what its files hold; a job ends with the content that it is pinned to, whatever becomes of them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from docmill.errors import ContentMissing, PromptBroken
from prompts import Registry, contents
from prompts.registry import BUILT_IN
from prompts.version import FILES


@pytest.fixture
def own(tmp_path: Path) -> Path:
    shutil.copytree(BUILT_IN / "receipt" / "v2", tmp_path / "mine" / "ticket" / "v1")
    return tmp_path / "mine"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "prompts"


def write(own: Path, file: str, text: str, *, seconds_ago: float = 10.0) -> None:
    """As an editor does, some time ago: nothing is waited for."""
    path = own / "ticket" / "v1" / file
    path.write_text(text, encoding="utf-8")
    at = path.stat().st_mtime_ns - int(seconds_ago * 1e9)
    os.utime(path, ns=(at, at))


def test_an_edit_is_seen_without_a_restart_and_the_same_content_is_loaded_once(own: Path) -> None:
    registry = Registry([own])
    before = registry.get("ticket")
    assert registry.get("ticket") is before
    write(own, "user.j2", "Read: {{ document }}")
    after = registry.get("ticket")
    assert after.content_hash != before.content_hash
    assert after.files["user.j2"] == "Read: {{ document }}"
    assert registry.get("ticket") is after


def test_what_is_written_anew_and_says_the_same_is_the_same(own: Path) -> None:
    registry = Registry([own])
    before = registry.get("ticket")
    write(own, "user.j2", before.files["user.j2"], seconds_ago=20)
    assert registry.get("ticket") is before


def test_a_pinned_job_keeps_its_content_through_edits_mistakes_and_a_restart(own: Path, home: Path) -> None:
    registry = Registry([own], home=home)
    prompt = registry.get("ticket")
    pinned = registry.pin(prompt)
    write(own, "output.py", "class Output(")
    with pytest.raises(PromptBroken):
        _ = registry.get("ticket").schema
    for each in (registry, Registry([own], home=home)):
        assert each.pinned("ticket", "v1", pinned).schema == prompt.schema
    shutil.rmtree(own / "ticket")
    assert Registry([own], home=home).pinned("ticket", "v1", pinned).schema == prompt.schema


def test_without_a_folder_to_keep_it_the_files_will_do_as_long_as_they_are_the_same(own: Path) -> None:
    pinned = Registry([own]).pin(Registry([own]).get("ticket"))
    assert Registry([own]).pinned("ticket", "v1", pinned)
    write(own, "user.j2", "Read: {{ document }}")
    with pytest.raises(ContentMissing, match=f"the content {pinned.hex()[:12]} of prompt ticket/v1 is in none of"):
        Registry([own]).pinned("ticket", "v1", pinned)


@pytest.mark.parametrize("file", FILES)
def test_a_kept_content_that_is_not_what_it_was_is_as_if_it_were_not_there(
    own: Path, home: Path, file: str
) -> None:
    registry = Registry([own], home=home)
    pinned = registry.pin(registry.get("ticket"))
    (home / pinned.hex() / file).write_text("raise SystemExit\n", encoding="utf-8")
    write(own, "user.j2", "Read: {{ document }}")
    with pytest.raises(ContentMissing):
        Registry([own], home=home).pinned("ticket", "v1", pinned)
    assert contents.keep(registry.pinned("ticket", "v1", pinned), home)
    assert Registry([own], home=home).pinned("ticket", "v1", pinned).content_hash == pinned


def renaming_after(step: Callable[..., None]) -> Callable[[Path, Path], None]:
    def rename(path: Path, to: Path) -> None:
        step()
        os.rename(path, to)  # noqa: PTH104

    return rename


def test_whoever_is_killed_at_keeping_leaves_nothing_that_is_read(
    own: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step of it: what is there is whole, or not there."""
    prompt = Registry([own]).get("ticket")
    steps = 0
    done = False
    while not done:
        left = [steps]

        def step(*arguments: object, _left: list[int] = left) -> None:
            _left[0] -= 1
            if _left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", step)
            patched.setattr(Path, "rename", renaming_after(step))
            patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # the dead clean nothing up
            try:
                done = contents.keep(prompt, home)
            except KeyboardInterrupt:
                assert contents.kept("ticket", "v1", prompt.content_hash, home) is None
        steps += 1
    assert steps == len(FILES) + 2
    assert contents.kept("ticket", "v1", prompt.content_hash, home) is not None


def test_two_who_keep_the_same_at_once_do_no_harm(own: Path, home: Path) -> None:
    prompt = Registry([own]).get("ticket")
    kept: list[bool] = []
    threads = [threading.Thread(target=lambda: kept.append(contents.keep(prompt, home))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept == [True] * 8
    assert [entry.name for entry in home.iterdir()] == [prompt.content_hash.hex()]


def test_a_folder_that_cannot_be_written_is_no_failure(own: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    registry = Registry([own], home=tmp_path / "file" / "prompts")
    assert registry.pinned("ticket", "v1", registry.pin(registry.get("ticket")))


def test_an_edit_that_is_under_way_is_waited_for(own: Path) -> None:
    """A file that was written a moment ago may be half of one."""
    registry = Registry([own])
    for file in FILES:
        write(own, file, registry.get("ticket").files[file])
    assert registry.get("ticket").config.draft is False  # and settled
    half = threading.Event()

    def edit() -> None:
        (own / "ticket" / "v1" / "user.j2").write_text("{{ docu", encoding="utf-8")
        half.set()
        (own / "ticket" / "v1" / "user.j2").write_text("New: {{ document }}", encoding="utf-8")

    editor = threading.Thread(target=edit)
    editor.start()
    half.wait()
    assert registry.get("ticket").files["user.j2"] == "New: {{ document }}"
    editor.join()


def test_a_released_version_refuses_to_change_and_its_jobs_go_on(own: Path, home: Path) -> None:
    registry = Registry([own], home=home)
    pinned = registry.pin(registry.get("ticket"))
    (own / "released.toml").write_text(f'"ticket/v1" = "{pinned.hex()}"\n', encoding="utf-8")
    assert registry.get("ticket").content_hash == pinned
    write(own, "user.j2", "New: {{ document }}")
    with pytest.raises(PromptBroken, match="is released, and its files have changed: restore them"):
        registry.get("ticket")
    assert registry.pinned("ticket", "v1", pinned).content_hash == pinned


def test_a_version_that_is_added_is_there_at_once(own: Path) -> None:
    registry = Registry([own])
    assert registry.versions("ticket") == ["v1"]
    shutil.copytree(own / "ticket" / "v1", own / "ticket" / "v2")
    shutil.copytree(own / "ticket", own / "letter")
    assert registry.get("ticket").version == "v2"
    assert registry.get("letter").version == "v2"
