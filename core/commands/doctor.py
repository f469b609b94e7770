"""`doctor`: what works on this machine, and the mending step for what does not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(kw_only=True)
class Options:
    """Look at everything the program uses: what works on this machine, and how to mend what does not."""

    json: Path | None = None
    """Also write the report to this file, machine-readable."""


def run(options: Options) -> int:
    """Print the report. Exit code 2 when something is broken that keeps the program from working."""
    from core.commands.report import check_json_output, write_json
    from core.doctor import Health, run_checks

    check_json_output(options.json)
    checks = run_checks()
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.health.value:>8}  {check.name:<{width}}  {check.detail}")
        if check.mend:
            print(f"{'':>8}  {'':<{width}}  to mend: {check.mend}")
    write_json(options.json, {"checks": [asdict(check) | {"health": check.health.value} for check in checks]})
    return 2 if any(check.health is Health.BROKEN for check in checks) else 0
