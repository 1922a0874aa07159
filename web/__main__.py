"""``python -m web``: the HTTP API and the pages, on one port."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from db.engine import make_engine
from docmill.errors import DocmillError
from docmill.settings import load_settings
from prompts import Registry
from prompts.registry import BUILT_IN
from web.app import make_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        engine = make_engine(settings.need("database_url"))
        registry = Registry([BUILT_IN, *settings.prompt_folders])
    except DocmillError as error:
        sys.exit(f"docmill: {error}")
    app = make_app(settings, engine, registry, host=arguments.host)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning", access_log=False)


main()
