"""`poster doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poster.cli import exit_codes, session
from poster.cli.output import Output, Styled, bold, dim

if TYPE_CHECKING:
    from poster.doctor import Report

_COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red", "unreachable": "red"}
_CODES: Final = {"unreachable": exit_codes.UNREACHABLE, "error": exit_codes.WRONG_USAGE}


def doctor() -> int:
    """Check settings, flows, database, board, conductors, tasks.

    Also names what is malformed: records, postings and rows that are set aside, and what to do about each.
    Ends with 0 if nothing is wrong, 4 if a server cannot be reached, 2 if something else is wrong.

    \b
    Examples:
      poster doctor
      poster doctor --json
    """
    from poster.job_json import report_document

    out = session.output()
    with session.open_client() as client:
        report = client.doctor()
    if out.json:
        out.document(report_document(report))
    else:
        _print(out, report)
    return exit_codes.worst(_CODES.get(check.status, exit_codes.DONE) for check in report.checks)


def _print(out: Output, report: Report) -> None:
    out.line(bold("checks"))
    out.table(
        (),
        [(Styled(check.status, _COLOURS[check.status]), check.name, check.message) for check in report.checks],
        indent="  ",
    )
    for finding in report.findings:
        out.line()
        out.line(Styled(f"{finding.thing} {finding.id}", "yellow"), f": {finding.wrong}")
        out.line("  ", dim(finding.advice))
    out.line()
    out.line(bold("settings"))
    out.table((), [(dim(line.name), line.value, dim(f"({line.origin})")) for line in report.settings], indent="  ")
    out.line()
    out.line(bold("versions"))
    out.fields(report.versions, indent="  ")
