"""Why the certificate of the other side is not accepted, and what to do about it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from edge_asd.system_clock import clock_synchronised

__all__ = ["certificate_problem"]

_NOT_YET_VALID, _EXPIRED = 9, 10  # codes of OpenSSL's x509_vfy.h
_STRICT = range(79, 95)  # what VERIFY_X509_STRICT adds, as Python does from 3.13 on


def certificate_problem(
    error: ssl.SSLCertVerificationError,
    *,
    advice: str = "check ca_file",
    synchronised: bool | None = None,
    now: datetime | None = None,
) -> str:
    """Return what is wrong with a certificate, and whose fault it may be.

    Parameters
    ----------
    advice : what to look at when its authority is not known
    synchronised : whether the clock of this device is right; None asks the system
    now : time of that clock; None asks it
    """
    found = f"its certificate is not accepted: {error.verify_message}"
    if error.verify_code in _STRICT:
        return (
            f"{found}; Python 3.13 and newer ask for it: make authority and certificates anew, "
            "as the guide shows under MQTT"
        )
    if error.verify_code not in (_NOT_YET_VALID, _EXPIRED):
        return f"{found}; {advice}"
    if synchronised is None:
        synchronised = clock_synchronised()
    clock = f"by the clock of this device ({now or datetime.now(UTC):%Y-%m-%d %H:%M} UTC)"
    if synchronised:
        renewal = "renew the certificate; if it is new, the clock of its maker is wrong"
        return f"{found} {clock}, which is synchronised: {renewal}"
    return f"{found} {clock}, which is not known to be right: set it, or renew the certificate"
