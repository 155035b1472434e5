"""What the source is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from urllib.parse import quote

from pydantic import HttpUrl, SecretStr

Format = Literal["json", "csv"]


@dataclass(frozen=True)
class Query:
    """The same for each symbol. Change `url_of` and `params` for a source that wants to be asked otherwise."""

    url: HttpUrl
    token: SecretStr | None
    since: date
    until: date
    format: Format
    requests_per_s: float

    def url_of(self, symbol: str) -> str:
        """Where the prices of `symbol` are."""
        return f"{str(self.url).rstrip('/')}/{quote(symbol, safe='')}"

    @property
    def params(self) -> dict[str, str]:
        """What follows the question mark."""
        return {"from": str(self.since), "to": str(self.until), "format": self.format}

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}
