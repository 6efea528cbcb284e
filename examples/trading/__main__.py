"""`python -m trading`: serves on POD_IP:PORT as VERSION, FAULTS on from the start, at PACE."""

from __future__ import annotations

import os

from aiohttp import web

from trading.faults import Faults, read_faults
from trading.pace import Pace
from trading.web import Site


def main() -> None:
    """Serves until SIGTERM."""
    env = os.environ
    site = Site(
        env.get("VERSION", "v0"),
        env.get("POD_NAME", ""),
        Faults(read_faults(env.get("FAULTS", ""))),
        Pace(float(env.get("PACE", "1"))),
    )
    host, port = env.get("POD_IP", "127.0.0.1"), int(env.get("PORT", "8080"))
    web.run_app(site.application(), host=host, port=port, print=lambda *_: None, access_log=None)


if __name__ == "__main__":
    main()
