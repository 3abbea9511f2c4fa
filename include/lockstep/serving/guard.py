"""The token that a client has to show, where one is set.

Rules:
- Everything but the two probes needs it: decisions, releases, metrics and the documentation.
- Tokens are compared in constant time, and stand in no log, no message and no address.
"""

import hmac
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from lockstep.errors import UsageError
from lockstep.serving.body import Receive, Send
from lockstep.serving.metrics import Metrics
from lockstep.serving.sending import App, Scope, send_json

TOKEN_VARIABLE: Final = "LOCKSTEP_TOKEN"  # noqa: S105  the name of a variable
OPEN: Final = ("/healthz", "/readyz")
_REFUSED: Final = "This needs a token: send it as Authorization: Bearer …"


class Guard:
    """Lets a request through to `app` if it shows one of the tokens, or asks a probe."""

    def __init__(self, app: App, *, tokens: "Tokens", metrics: Metrics) -> None:
        self._app, self._tokens, self._metrics = app, tokens, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN or self._tokens.admit(dict(scope["headers"])):
            await self._app(scope, receive, send)
            return
        self._metrics.refused(HTTPStatus.UNAUTHORIZED)
        await send_json(
            send, HTTPStatus.UNAUTHORIZED, {"detail": _REFUSED}, {"WWW-Authenticate": 'Bearer realm="lockstep"'}
        )


class Tokens:
    """The tokens that are good; there may be several, so that one can be replaced while clients still use it."""

    __slots__ = ("_tokens",)

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(token.encode() for token in tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def __repr__(self) -> str:
        return f"Tokens({len(self._tokens)})"

    def admit(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the headers show a good one; where there is none, everybody may."""
        if not self._tokens:
            return True
        scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
        good = [hmac.compare_digest(shown.strip(), token) for token in self._tokens]  # all, whichever it is
        return scheme.lower() == b"bearer" and any(good)


def read_tokens(file: Path | None, environ: Mapping[str, str]) -> Tokens:
    """The tokens of a file, one a line, else that of the variable LOCKSTEP_TOKEN, else none.

    Raises:
        UsageError: the file can't be read, or what should be a token is empty or can't stand in a header.
    """
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise UsageError(f"--token-file {file} can't be read: {why}. Give a file with a token a line.") from None
        where, found = f"--token-file {file}", [line.strip() for line in lines if line.strip()]
    elif TOKEN_VARIABLE in environ:
        where, found = TOKEN_VARIABLE, [word for word in [environ[TOKEN_VARIABLE].strip()] if word]
    else:
        return Tokens(())
    if not found:
        raise UsageError(f"{where} holds no token. Make one: openssl rand -hex 32; or leave it out, and all may ask.")
    if any(not token.isascii() or not token.isprintable() or " " in token for token in found):
        raise UsageError(
            f"{where}: a token has letters, digits and signs, and no blanks. Make one: openssl rand -hex 32."
        )
    return Tokens(found)
