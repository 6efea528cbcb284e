"""`python -m trading`: serves on POD_IP:PORT as VERSION, FAULTS on from the start, at PACE.

With FLAG_FILE, the path of a flag in a mounted ConfigMap, it splits its users by the flag's value and counts each side
by itself, under the two names in SIDES. Its gauge feature_flag_value says what it goes by, as FLAG. SETTINGS_DIR is the
path of another ConfigMap, which a release may change in a breach; BUILD_SHA the commit it says it was built from.
"""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web

from trading.faults import Faults, read_faults
from trading.flag import Flag
from trading.pace import Pace
from trading.settings import Settings
from trading.web import Feature, Site


def main() -> None:
    """Serves until SIGTERM."""
    env = os.environ
    feature = None
    if "FLAG_FILE" in env:
        off, on = env["SIDES"].split()
        feature = Feature(Flag(Path(env["FLAG_FILE"])), env.get("FLAG", Path(env["FLAG_FILE"]).name), (off, on))
    site = Site(
        env.get("VERSION", "v0"),
        env.get("POD_NAME", ""),
        Faults(read_faults(env.get("FAULTS", ""))),
        Pace(float(env.get("PACE", "1"))),
        feature,
        settings=Settings(Path(env["SETTINGS_DIR"]) if "SETTINGS_DIR" in env else None),
        build=env.get("BUILD_SHA", ""),
    )
    host, port = env.get("POD_IP", "127.0.0.1"), int(env.get("PORT", "8080"))
    web.run_app(site.application(), host=host, port=port, print=lambda *_: None, access_log=None)


if __name__ == "__main__":
    main()
