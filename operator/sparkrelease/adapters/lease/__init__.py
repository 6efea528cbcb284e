"""Leadership by one Lease: `holder` takes and keeps it, `thread` does so beside the loop that does the work."""

from sparkrelease.adapters.lease.holder import LeaseHolder, new_identity
from sparkrelease.adapters.lease.thread import LeaseThread

__all__ = ["LeaseHolder", "LeaseThread", "new_identity"]
