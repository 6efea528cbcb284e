"""Starting and ending the dashboard."""

from __future__ import annotations

import sys
import threading

from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.dashboard.feed import Feed
from sparkrelease.cli.dashboard.server import DashboardServer
from sparkrelease.cli.exits import CliError, ExitCode


def run_dashboard(cluster: ClusterDoor, *, port: int, every: float, everywhere: bool) -> None:
    """Serves until interrupted; prints the address, which is a secret of this user."""
    feed = Feed(cluster, everywhere=everywhere)
    try:
        server = DashboardServer(lambda: feed.latest, port)
    except OSError as problem:
        raise CliError(ExitCode.USAGE, f"port {port} cannot be used: {problem.strerror}") from problem
    stop = threading.Event()
    looking = threading.Thread(target=feed.serve, args=(every, stop), name="looks", daemon=True)
    looking.start()
    print(server.url)
    sys.stdout.flush()
    try:
        server.serve_forever()
    finally:
        stop.set()
        server.server_close()
