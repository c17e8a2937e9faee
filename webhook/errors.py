"""
Errors of the service, and what each is over HTTP on ``/v1``.

::

    WebhookError
    ├── BadRequest          400  a caller's mistake: place, rule and value
    ├── NotFound            404  no such report, release or path
    │   └── UnknownPolicy   404  no such policy
    ├── NotAuthorised       401  no credentials, or wrong ones
    ├── Forbidden           403  right credentials, wrong scope
    ├── TooLarge            413  a body over its limit
    ├── Busy                503  plots are drawn one after the other, and others wait already
    ├── SourceFault              the metrics source
    │   ├── SourceDown      503  refused, timed out, 5xx
    │   ├── SourceRefused   502  it understood the query and will not answer it
    │   └── SourceLimit     502  the answer is larger than one verdict may read
    └── StoreFault
        ├── StoreDown       503  the store does not answer
        └── StoreConflict   503  somebody else wrote first; read again

On the controllers' endpoints no status comes from here: see ``answers.py``.
"""

from __future__ import annotations


class WebhookError(Exception):
    """
    Base of every error that ``webhook`` raises on purpose.

    Parameters
    ----------
    message : str
        Rule and value in one line.
    place : str, default ""
        JSON pointer of the wrong value.
    """

    status = 500
    title = "Internal error"

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.place = place


class BadRequest(WebhookError):
    """A caller's mistake."""

    status = 400
    title = "Bad request"


class NotFound(WebhookError):
    """No such report, release or path."""

    status = 404
    title = "Not found"


class UnknownPolicy(NotFound):
    """No policy of that name."""

    title = "Unknown policy"


class NotAuthorised(WebhookError):
    """No credentials, or wrong ones."""

    status = 401
    title = "Not authorised"


class Forbidden(WebhookError):
    """Right credentials without the scope for this."""

    status = 403
    title = "Forbidden"


class TooLarge(WebhookError):
    """A body over its limit."""

    status = 413
    title = "Too large"


class Busy(WebhookError):
    """What is asked for can wait, and others wait for it already."""

    status = 503
    title = "Busy"


class SourceFault(WebhookError):
    """The metrics source did not give what a verdict needs."""

    status = 502
    title = "Source fault"


class SourceDown(SourceFault):
    """The source refused the connection, timed out, or answered 5xx."""

    status = 503
    title = "Metrics source down"


class SourceRefused(SourceFault):
    """The source understood the query and will not answer it (wrong PromQL, 4xx)."""

    title = "Metrics source refused"


class SourceLimit(SourceFault):
    """The answer is larger than one verdict may read."""

    title = "Metrics source answered too much"


class StoreFault(WebhookError):
    """The store did not keep or return something."""

    status = 503
    title = "Store fault"


class StoreDown(StoreFault):
    """The store does not answer."""


class StoreConflict(StoreFault):
    """Somebody else wrote this attempt first; read it again."""
