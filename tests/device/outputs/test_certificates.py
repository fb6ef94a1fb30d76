"""What is wrong with a certificate, and whose clock to look at."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from edge_asd.outputs.certificates import certificate_problem

NOW = datetime(2026, 11, 28, 14, 50, tzinfo=UTC)


def an_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("synchronised", "advice"),
    [
        (
            True,
            "which is synchronised: renew the certificate; if it is new, the clock of its maker",
        ),
        (False, "which is not known to be right: set it, or renew the certificate"),
    ],
)
@pytest.mark.parametrize(
    ("code", "message"), [(9, "certificate is not yet valid"), (10, "certificate has expired")]
)
def test_a_certificate_of_another_time_names_the_clock(
    code: int, message: str, synchronised: bool, advice: str
) -> None:
    said = certificate_problem(an_error(code, message), synchronised=synchronised, now=NOW)

    assert f"{message} by the clock of this device (2026-11-28 14:50 UTC), {advice}" in said


def test_another_problem_has_nothing_to_do_with_clocks() -> None:
    said = certificate_problem(an_error(20, "unable to get local issuer certificate"))

    assert said.endswith("unable to get local issuer certificate; check ca_file")
