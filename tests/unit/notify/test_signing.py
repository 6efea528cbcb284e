"""Signatures as Standard Webhooks has them, so that a receiver can use any of its libraries."""

from __future__ import annotations

import pytest

from sparkrelease.adapters.notify import signing


def test_the_signature_is_that_of_the_specification() -> None:
    """The example that the specification's own libraries are tested with."""
    keys = signing.keys_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    found = signing.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', keys)
    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_keys_give_two_signatures_while_one_takes_the_place_of_the_other() -> None:
    both = signing.headers("id", 1, b"body", signing.keys_of("old-key\nnew-key\n"))["webhook-signature"].split()
    each = [
        signing.headers("id", 1, b"body", signing.keys_of(key))["webhook-signature"] for key in ("old-key", "new-key")
    ]
    assert both == each


@pytest.mark.parametrize("text", ["", " \n", "whsec_no-base64!"])
def test_a_file_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        signing.keys_of(text)
