"""One process that wants the Lease: writes a line for everything it believes, with the machine's monotonic time.

Started by test_lease_on_cluster.py as `python lease_process.py KUBECONFIG NAMESPACE DURATION RENEW DEADLINE`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from sparkrelease.adapters.kubernetes.client import Identity, lease_lane
from sparkrelease.adapters.lease import LeaseHolder, new_identity
from sparkrelease.api.config import LeaseConfig, OperatorConfig


def say(what: str, **more: object) -> None:
    sys.stdout.write(json.dumps({"what": what, "at": time.monotonic()} | more) + "\n")
    sys.stdout.flush()


async def believe(holder: LeaseHolder) -> None:
    """Says again and again that it leads, as long as it would write."""
    while True:
        at = time.monotonic()  # before the question: whoever is frozen in between believed it then, not when it wakes
        if holder.valid_for(0):
            say("valid", epoch=holder.epoch, at=at)
        await asyncio.sleep(0.01)


async def main() -> None:
    kubeconfig, namespace, *seconds = sys.argv[1:]
    duration, renew, deadline = (timedelta(seconds=float(value)) for value in seconds)
    lease = LeaseConfig(namespace=namespace, name="leader", duration=duration, renew=renew, deadline=deadline)
    async with lease_lane(OperatorConfig(lease=lease), Identity(kubeconfig=Path(kubeconfig))) as lane:
        await hold(LeaseHolder(lane, lease, new_identity()))


async def hold(holder: LeaseHolder) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def stop_when_told() -> None:
        await stop.wait()
        await holder.stop()

    def lost(why: str) -> None:
        say("lost", why=why, valid=holder.valid_for(0))
        os._exit(3)

    watching = [asyncio.create_task(believe(holder)), asyncio.create_task(stop_when_told())]
    say("up")
    await holder.run(lambda: say("started", epoch=holder.epoch, identity=holder.identity), lost)
    say("ended", valid=holder.valid_for(0))
    for task in watching:
        task.cancel()


asyncio.run(main())
