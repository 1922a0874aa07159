"""Servers come up wherever their data folder lies, and leave nothing but what is marked."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import redis

from docmill.errors import Misconfigured
from workers.stack import places
from workers.stack.places import MARK, make_data_folder, scratch
from workers.stack.servers import EmbeddedServers

root_alone = pytest.mark.skipif(os.geteuid() != 0, reason="another user runs PostgreSQL as itself")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What root's stacks have of their own, for a test alone."""
    with scratch("home") as folder:
        monkeypatch.setattr(places, "HOME", folder)
        for name in ("CLUSTERS", "PROGRAMS", "SCRATCH"):
            monkeypatch.setattr(places, name, folder / name.lower())
        yield folder


def assert_it_serves(servers: EmbeddedServers) -> None:
    with psycopg.connect(servers.owner_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with redis.Redis.from_url(servers.cache_url) as cache:
        assert cache.ping()
    sockets = Path(servers.cache_url.removeprefix("unix://")).parent
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["plain", "with a space", "w" * 150, "it's 100% é, {odd} & $HOME", "a,b:c@d?e#f"], ids=len
)
def test_a_folder_of_any_name_will_do(name: str) -> None:
    with scratch("names") as above:
        data = above / name
        for _ in range(2):  # the second finds what the first left
            with EmbeddedServers(data) as servers:
                assert_it_serves(servers)
                sockets = (data / "sockets").resolve()
            assert sockets.parent == data or not sockets.exists()


@root_alone
def test_a_closed_data_folder_and_closed_programs_need_no_folder_opened(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest's folders are closed, as root's home is."""
    site = tmp_path / "site"
    installed = places._installed_programs().parents[2]
    for name in (places.MODULE, f"{places.MODULE}.libs"):
        shutil.copytree(installed / name, site / name, symlinks=True)
    monkeypatch.setattr(places, "_installed_programs", lambda: next(site.glob("*/pginstall18/bin")))
    data = tmp_path / "data"
    modes = [folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents)]
    with umask(0o077):
        for _ in range(2):
            with EmbeddedServers(data) as servers:
                assert_it_serves(servers)
    cluster = (data / "postgres").resolve()
    assert cluster.parent.parent == home / "clusters"
    assert (cluster / "PG_VERSION").exists()
    (copied,) = (home / "programs").glob(f"{places.PACKAGE}-*")
    assert {path.stat().st_uid for path in copied.rglob("*")} == {0}
    assert not [path for path in copied.rglob("*") if path.stat().st_mode & 0o022 and not path.is_symlink()]
    assert [folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents)] == modes


@root_alone
def test_a_data_folder_that_was_closed_afterwards_is_told(home: Path) -> None:
    with scratch("closing") as above:
        data = above / "data"
        with EmbeddedServers(data, ["postgres"]):
            pass
        above.chmod(0o700)
        with pytest.raises(Misconfigured, match="no longer is"), EmbeddedServers(data, ["postgres"]):
            pass
        above.chmod(0o711)


@root_alone
def test_a_closed_folder_for_temporary_files_is_gone_around(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch("closed") as folder:
        assert folder.parent == home / "scratch"
        with EmbeddedServers(folder / "data") as servers:
            assert_it_serves(servers)
    assert not folder.exists()


def test_sockets_of_a_stack_that_was_killed_are_removed_by_the_next() -> None:
    with scratch("killed") as above:
        data = above / ("w" * 150)
        make_data_folder(data)
        left = places.socket_folder(data, None)
        assert (left / MARK).exists()
        with EmbeddedServers(data, ["cache"]):
            assert not left.exists()


@pytest.mark.parametrize(("room", "kind"), [(10_000_000_000, "posix"), (65_536, "sysv"), (None, "sysv")])
def test_parallel_queries_run_where_shared_memory_is_scarce(
    monkeypatch: pytest.MonkeyPatch, room: int | None, kind: str
) -> None:
    def usage(_: Path) -> SimpleNamespace:
        if room is None:
            raise FileNotFoundError
        return SimpleNamespace(free=room)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with (
        scratch("memory") as data,
        EmbeddedServers(data, ["postgres"]) as servers,
        psycopg.connect(servers.owner_url) as connection,
    ):
        assert connection.execute("show dynamic_shared_memory_type").fetchone() == (kind,)
        connection.execute("create table many as select n, repeat('x', 99) as x from generate_series(1, 200000) n")
        connection.execute("set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0")
        connection.execute("set parallel_tuple_cost = 0; set debug_parallel_query = on")
        found = connection.execute("select count(distinct a.x) from many a join many b using (n)").fetchone()
        assert found == (1,)
