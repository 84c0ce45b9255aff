"""Print which capabilities are proven, by which tests; fail where the list and the tests differ.

Runs the tests that carry `@pytest.mark.capability(...)` first; `--last` takes the results of the last full run instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
LIST = ROOT / "tests" / "capabilities.yaml"
RESULTS = ROOT / ".haven" / "capabilities.json"


def main() -> int:
    """The exit status: 0 where every proven capability has passing tests and no test claims another."""
    if "--last" not in sys.argv:
        RESULTS.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "capability", "tests"], cwd=ROOT, check=False)
    if not RESULTS.exists():
        print("capabilities: no results; the tests did not finish")
        return 1
    results: dict[str, dict[str, str]] = json.loads(RESULTS.read_text())
    listed = yaml.safe_load(LIST.read_text())["capabilities"]
    problems = [f"{each}: claimed by a test but not in the list" for each in results if each not in _ids(listed)]
    for each in listed:
        tests = results.get(each["id"], {})
        passed = sorted(name for name, outcome in tests.items() if outcome == "passed")
        proven = bool(passed) and len(passed) == len(tests)
        state = each["state"] if proven == _said(each) else "DIFFERS"
        print(f"{each['id']}  {each['service']:<11} {state:<8} {each['need']}")
        for name in passed:
            print(f"        {name}")
        if _said(each) and not proven:
            problems.append(f"{each['id']}: said to be proven, but no test that claims it passes")
        if proven and not _said(each):
            problems.append(f"{each['id']}: proven by {passed[0]}; the list says {each['state']}")
    _count(listed, problems)
    return 1 if problems else 0


def _count(listed: list[dict[str, str]], problems: list[str]) -> None:
    proven = Counter(each["service"] for each in listed if _said(each))
    total = Counter(each["service"] for each in listed)
    print("  ".join(f"{service} {proven[service]}/{total[service]}" for service in total))
    print(f"{sum(proven.values())} of {len(listed)} capabilities proven")
    for problem in problems:
        print(f"problem: {problem}")


def _said(each: dict[str, str]) -> bool:
    return each["state"] == "proven"


def _ids(listed: list[dict[str, str]]) -> set[str]:
    return {each["id"] for each in listed}


if __name__ == "__main__":
    sys.exit(main())
