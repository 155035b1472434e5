"""Metrics as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


class Seen(dict[str, float]):
    """Values by name and labels: `countermand_jobs{flow="f",state="running"}`, labels by their names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for family in text_string_to_metric_families(text):
            assert family.documentation, f"{family.name} is not explained"
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                key = f"{sample.name}{{{labels}}}" if labels else sample.name
                assert key not in self, f"{key} is told twice"
                self[key] = sample.value

    def of(self, name: str) -> dict[str, float]:
        """Those of one name, by their labels, without those that are 0."""
        begin = f"{name}{{"
        found = {key: value for key, value in self.items() if key.startswith(begin) and value}
        return {key.removeprefix(begin)[:-1]: value for key, value in found.items()}
