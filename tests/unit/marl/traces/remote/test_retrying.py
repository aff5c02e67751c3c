"""Waiting and starring: the policy every remote source shares."""

import pytest

from marl.traces.sources.retrying import LONGEST_WAIT_S, Backoff, redact


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://user:pa55@host/x failed", "pa55"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("token ya29.a0ABCdef-x expired", "a0ABCdef"),
        ("https://h/x?access_token=s3cr3t&alt=media", "s3cr3t"),
        ("https://h/x?alt=media&key=AIzaSyD", "AIzaSyD"),
        ("X-Goog-Signature=deadbeef&x=1", "deadbeef"),
        ('{"refresh_token": "1//0gabc", "a": 1}', "0gabc"),
        ("{'client_secret': 'qwerty'}", "qwerty"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
        ("password=opensesame", "opensesame"),
    ],
)
def test_secrets_are_starred(text, secret):
    assert secret in text
    assert secret not in redact(text)


def test_harmless_text_stays():
    text = "gs://clusterdata-2011-2/job_events/part-00000.csv.gz#17: HTTP 503 (attempt 2 of 6)"
    assert redact(text) == text


def test_waits_double_up_to_a_limit_with_jitter_of_its_own():
    waits = [Backoff(seed=1, first_wait_s=1.0).wait_s(n) for n in range(1, 12)]
    for n, wait in enumerate(waits, start=1):
        longest = min(LONGEST_WAIT_S, 2.0 ** (n - 1))
        assert longest / 2 <= wait <= longest
    one, two, other = (Backoff(seed=s, first_wait_s=1.0) for s in (5, 5, 6))
    first = [one.wait_s(3) for _ in range(4)]
    assert first == [two.wait_s(3) for _ in range(4)]
    assert first != [other.wait_s(3) for _ in range(4)]
    assert len(set(first)) == 4


def test_calls_are_bounded_and_the_last_error_comes_through():
    lines: list[str] = []
    backoff = Backoff(0, lines.append, attempts=4, first_wait_s=0.0)
    calls = []

    def failing():
        calls.append(1)
        raise ConnectionError(f"no. {len(calls)}")

    with pytest.raises(ConnectionError, match=r"no\. 4"):
        backoff.call(failing, "x", lambda error: isinstance(error, ConnectionError))
    assert len(calls) == 4
    assert len(lines) == 3
    assert "x: no. 1; trying again in 0.0 s (attempt 2 of 4)" in lines[0]


def test_an_error_that_stays_is_raised_at_once():
    calls = []

    def failing():
        calls.append(1)
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        Backoff(0, first_wait_s=0.0).call(failing, "x", lambda error: False)
    assert len(calls) == 1
