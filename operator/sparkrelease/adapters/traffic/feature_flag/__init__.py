"""Traffic by a feature flag, a key of a ConfigMap that the application reads: `provider.FeatureFlagProvider`.

Pure parts: flag, writes. I/O: provider, preflight.
"""

from sparkrelease.adapters.traffic.feature_flag.provider import FeatureFlagProvider

__all__ = ["FeatureFlagProvider"]
