"""Pages made from templates, each with the policy that lets a browser load nothing but our files."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastapi import Response

from jobboard.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A page. What is put in is text, whatever is in it."""
    text = _templates().get_template(template).render(version=__version__, **values)
    return Response(text, status, headers={"Content-Security-Policy": _POLICY}, media_type="text/html")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("poster.web.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
