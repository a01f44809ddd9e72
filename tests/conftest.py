"""Says where the time of the tests goes, by folder."""

from collections import defaultdict
from pathlib import Path


def pytest_terminal_summary(terminalreporter):
    spent = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                spent["/".join(Path(report.nodeid.split("::")[0]).parts[:-1])] += report.duration
    if total := sum(spent.values()):
        shares = sorted(spent.items(), key=lambda pair: -pair[1])
        line = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in shares)
        terminalreporter.write_line(f"{total:.0f} s of tests: {line}")
