"""HTTP to an inference server: JSON in, JSON out, tried again where that can help, with errors that say what to do."""

from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

# Too busy, or not there for the moment. 500 is among them: servers answer it when they run out of memory for a while.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_MESSAGE_CHARACTERS = 500


class ServerError(RuntimeError):
    """The server could not be reached, failed, or answered what no server of its kind answers."""


class TransientError(ServerError):
    """An error that may be gone at the next try."""


class RefusedError(ServerError):
    """The server does not take the request (4xx)."""


class ServerClient:
    """Calls one server. For several threads at once."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        attempts: int = 4,
        first_wait_s: float = 0.5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """
        Args:
            url: where it listens, with or without ``/v1``.
            api_key: sent as a bearer token.
            timeout_s: for one answer; connecting has 10 seconds of it.
            attempts: how often a request is sent at most.
            first_wait_s: pause before the second try; it doubles each time, up to 30 seconds.
            transport: in place of the network.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            # How many at once is for the caller to bound.
            limits=httpx.Limits(max_connections=None),
            transport=transport,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(attempts),
            wait=wait_exponential_jitter(initial=first_wait_s, max=30, jitter=first_wait_s),
            reraise=True,
        )

    def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET.

        Raises:
            RefusedError: 4xx.
            ServerError: it cannot be reached, fails each time, or does not answer with a JSON object.
        """
        return self._retrying.copy()(self._send, "GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a POST; raises as ``get``."""
        return self._retrying.copy()(self._send, "POST", path, body)

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        place = f"{method} {self.url}{path}"
        try:
            answer = self._http.request(method, self.url + path, json=body)
        except httpx.InvalidURL as error:
            raise ServerError(f"{place}: {error}; give the server's address as http://HOST:PORT") from error
        except httpx.UnsupportedProtocol as error:
            raise ServerError(f"{place}: {error}; give the server's address as http://HOST:PORT") from error
        except httpx.TransportError as error:
            raise TransientError(
                f"{place}: no answer ({type(error).__name__}: {error}); is the server running, and is this its address?"
            ) from error
        if answer.status_code in TRANSIENT:
            raise TransientError(f"{place}: the server answers {answer.status_code}: {_message(answer)}")
        if answer.status_code >= 400:
            raise RefusedError(f"{place}: the server refuses with {answer.status_code}: {_message(answer)}")
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.status_code >= 300 or not isinstance(content, dict):
            raise ServerError(
                f"{place}: expected a JSON object, got status {answer.status_code} with '{answer.text[:80]}'; "
                "is this an inference server?"
            )
        return content


def _message(answer: httpx.Response) -> str:
    """What the server says of an error, on one line."""
    text = answer.text
    try:
        content = answer.json()
    except ValueError:
        content = None
    if isinstance(content, dict):
        error = content.get("error", content.get("detail", content.get("message", text)))
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    return " ".join(text.split())[:_MESSAGE_CHARACTERS]
