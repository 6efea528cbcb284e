"""Which hosts may be asked."""

from __future__ import annotations

import pytest

from sparkrelease.adapters.preflight.hosts import is_forbidden, place_of

ALLOWED = ("status.example.com", "*.corp.example.com", "10.0.0.7:8443", "[fd00::1]:8080", "deep.example.com:8080")


@pytest.mark.parametrize(
    ("url", "service", "port"),
    [
        ("http://web-canary/healthz", "web-canary", 80),
        ("http://web-canary:8080/", "web-canary", 8080),
        ("https://web-canary.shop/", "web-canary", 443),
        ("http://WEB-canary.shop.svc:1/", "web-canary", 1),
        ("http://web-canary.shop.svc.cluster.local./x?y=1", "web-canary", 80),
    ],
)
def test_a_service_of_the_own_namespace_is_always_allowed(url: str, service: str, port: int) -> None:
    place = place_of(url, "shop", ())
    assert not isinstance(place, str)
    assert (place.service, place.port) == (service, port)


@pytest.mark.parametrize(
    "url",
    [
        "https://status.example.com/x",
        "http://a.b.corp.example.com/",
        "https://10.0.0.7:8443/",
        "http://[fd00::1]:8080/",
        "http://deep.example.com:8080/",
    ],
)
def test_what_the_administrator_lists_is_allowed(url: str) -> None:
    place = place_of(url, "shop", ALLOWED)
    assert not isinstance(place, str)
    assert place.service is None


@pytest.mark.parametrize(
    "url",
    [
        "http://web.other/",
        "http://web.other.svc/",
        "http://web.shop.evil.example/",
        "http://web.shopping.svc/",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8080/",
        "http://10.0.0.7/",
        "https://status.example.com:8443/",
        "http://corp.example.com/",
        "http://evil-corp.example.com/",
        "http://xstatus.example.com/",
        "http://deep.example.com/",
        "http://user:word@status.example.com/",
        "http://status.example.com:99999/",
        "http:///x",
        "http://[::1/",
        "ftp://status.example.com/",
    ],
)
def test_nothing_else_is_and_the_reason_is_said(url: str) -> None:
    assert isinstance(place_of(url, "shop", ALLOWED), str)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::ffff:127.0.0.1", "224.0.0.1"],
)
def test_a_name_must_not_lead_to_this_machine_or_its_link(address: str) -> None:
    assert is_forbidden(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.0.2.1", "fd00::1", "2001:db8::1"])
def test_it_may_lead_elsewhere(address: str) -> None:
    assert not is_forbidden(address)
