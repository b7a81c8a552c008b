"""What is wrong with the files of a TLS connection, said before it is tried.

The client says of a bad file only that a connection failed, and asks a terminal for passphrases.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from session_rec.errors import UserError

_CERT, _KEY, _CA = "kafka.ssl_certfile", "kafka.ssl_keyfile", "kafka.ssl_cafile"


def check_tls_files(ca: Path | None, certificate: Path | None, key: Path | None) -> None:
    """Reads the files as the client will.

    Args:
        ca: certificates to trust, None for the system's.
        certificate: our own, where the cluster asks for one.
        key: its key, None where it stands in the same file.

    Raises:
        UserError: one is missing, is no PEM file or is locked by a passphrase, or certificate and
            key are no pair.
    """
    for path, name in ((ca, _CA), (certificate, _CERT), (key, _KEY)):
        if path is not None and not path.is_file():
            raise UserError(f"{path} is not there: {name} must be a PEM file")
    if key is not None and certificate is None:
        raise UserError(f"{_KEY} is set without {_CERT}: set both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (ssl.SSLError, OSError) as e:
            raise UserError(
                f"{ca} holds no certificate to trust ({_reason(e)}): {_CA} must be a PEM file"
            ) from None
    if certificate is not None:
        _check_pair(context, certificate, key)


def _check_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    asked = False

    def passphrase() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(certificate, key, passphrase)
    except (ssl.SSLError, OSError) as e:
        holder = key or certificate
        if asked:
            raise UserError(
                f"the key in {holder} is locked by a passphrase, which cannot be given: "
                f"name one without in {_KEY}"
            ) from None
        if getattr(e, "reason", None) == "KEY_VALUES_MISMATCH":
            raise UserError(
                f"the key in {holder} is not that of the certificate in {certificate}: "
                f"{_CERT} and {_KEY} must be a pair"
            ) from None
        where = f"{certificate} and {key}" if key else str(certificate)
        raise UserError(
            f"{where} cannot be read as our certificate and its key: "
            f"{_CERT} and {_KEY} must be PEM files"
        ) from None


def _reason(e: OSError) -> str:
    reason = getattr(e, "reason", None) or e.strerror or ""
    return str(reason).replace("_", " ").lower()


#: Alerts by which a broker turns our certificate down, or misses one.
_ALERT = re.compile(r"\[SSL: \w*ALERT\w*?((?:BAD_|NO_)?CERTIFICATE\w*|UNKNOWN_CA)\]")


def certificate_refused(text: str, servers: str, ours: Path | None) -> str | None:
    """A sentence where the client's log lines tell that the broker turned our certificate down."""
    found = _ALERT.search(text)
    if not found:
        return None
    said = found[1].replace("_", " ").lower()
    if ours is None:
        return (
            f"Kafka at {servers} wants a certificate of ours ({said}): set {_CERT} and {_KEY}, or "
            "kafka.security_protocol to one that goes by password"
        )
    return (
        f"Kafka at {servers} does not accept our certificate {ours} ({said}): "
        f"set {_CERT} and {_KEY} to a pair that it trusts"
    )
