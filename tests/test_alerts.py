"""Alerts and recording rules of deploy/monitoring, as plain files: played by promtool, case by case (alert_cases.yaml)."""

import json
import re
import subprocess

import pytest
import yaml
from support import ROOT

RULES = sorted((ROOT / "deploy/monitoring/rules").glob("*.yaml"))
PROMTOOL = ROOT / ".deps/prometheus/usr/bin/promtool"
CASES = yaml.safe_load((ROOT / "tests/alert_cases.yaml").read_text())


def promtool(*args):
    return subprocess.run([PROMTOOL, *map(str, args)], capture_output=True, text=True, timeout=120)


def alerts():
    groups = [g for path in RULES for g in yaml.safe_load(path.read_text())["groups"]]
    return {r["alert"]: r for g in groups for r in g["rules"] if "alert" in r}


def test_rules_are_valid():
    checked = promtool("check", "rules", *RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in ("critical", "warning"), name
        # By it Alertmanager knows which warnings a critical alert explains.
        assert alert["labels"].keys() == {"severity", "part"}, name
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}, name
        assert len(alert["annotations"]["summary"]) < 120 and len(alert["annotations"]["description"]) > 40, name


def test_metrics_of_ours_that_rules_ask_for_exist():
    known = set(re.findall(r"^\| `(ca4_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    asked = {m for path in RULES for m in re.findall(r"\bca4_\w+", path.read_text())}
    assert len(asked) > 10
    assert {m.removesuffix("_bucket") for m in asked} - known == set()


def anchors(page):
    text = (ROOT / page).read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r'<a id="([\w-]+)">', text))


def test_every_alert_leads_to_an_entry_that_is_there():
    lost = []
    for name, alert in alerts().items():
        page, anchor = alert["annotations"]["runbook_url"].split("#")
        if anchor not in anchors(page):
            lost.append(f"{name}: {page}#{anchor}")
    assert not lost


def test_every_alert_has_its_case():
    assert {c["alert"] for c in CASES} == alerts().keys()


def played(case, side, expected):
    """A group of promtool's tests: with these series the alert fires with these labels, or not at all."""
    name = case["alert"]
    return {
        "name": f"{name} {side}",
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in case[side].items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{name}", alertstate="firing"}}',
                "eval_time": case["at"],
                "exp_samples": [{"labels": f"ALERTS{{{expected}}}", "value": 1}] if expected else [],
            }
        ],
    }


def play(folder, groups):
    file = folder / "cases.yaml"
    tests = {"rule_files": [str(p) for p in RULES], "evaluation_interval": "1m", "tests": groups}
    file.write_text(yaml.safe_dump(tests, sort_keys=False))
    return promtool("test", "rules", file)


def labels(case):
    alert = alerts()[case["alert"]]
    said = case["labels"] | alert["labels"] | {"alertname": case["alert"], "alertstate": "firing"}
    return ", ".join(f'{k}="{v}"' for k, v in said.items())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["alert"])
def test_alert(tmp_path, case):
    fires = [side for side in ("fires", "fires_too") if side in case]
    groups = [*(played(case, side, labels(case)) for side in fires), played(case, "quiet", "")]
    result = play(tmp_path, groups)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_case_that_does_not_hold_is_seen(tmp_path):
    case = CASES[0]
    for groups in ([played(case, "quiet", labels(case))], [played(case, "fires", "")]):
        assert play(tmp_path, groups).returncode != 0


def test_figures_that_are_recorded(tmp_path):
    series = {
        'ca4_events_total{instance="a", result="accepted"}': "0+30x20",
        'ca4_events_total{instance="b", result="accepted"}': "0+60x20",
        'ca4_documents_total{instance="a", result="inserted"}': "0+30x20",
        'ca4_documents_total{instance="a", result="unchanged"}': "0+30x20",
        'ca4_lag_records{instance="a", group="ca4-worker", partition="0"}': "5x20",
        'ca4_lag_records{instance="b", group="ca4-worker", partition="0"}': "7x20",
        'ca4_lag_records{instance="b", group="ca4-worker", partition="1"}': "2x20",
    }
    expected = {"ca4:accepted:rate1m": ("", 3), "ca4:stored:rate1m": ("", 1), "ca4:lag_records:sum": ('group="ca4-worker"', 9)}
    tests = [
        {"expr": name, "eval_time": "8m", "exp_samples": [{"labels": f"{name}{{{labels}}}", "value": value}]}
        for name, (labels, value) in expected.items()
    ]
    inputs = [{"series": s, "values": v} for s, v in series.items()]
    result = play(tmp_path, [{"interval": "30s", "input_series": inputs, "promql_expr_test": tests}])
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_first_dead_letter_of_its_kind_is_on_the_dashboard(tmp_path):
    """Its figure is not there before, so that alone is no increase; one that is old is none of this hour."""
    panels = json.loads((ROOT / "deploy/monitoring/dashboards/pipeline.json").read_text())["panels"]
    ask = {p["title"]: p["targets"][0]["expr"] for p in panels if p["title"].startswith("Dead letters")}
    kind = 'instance="a", stage="{}", reason="unreadable"'
    inputs = [
        {"series": f"ca4_dead_letters_total{{{kind.format('decode')}}}", "values": "_x30 1x60"},
        {"series": f"ca4_dead_letters_total{{{kind.format('store')}}}", "values": "5x90"},
    ]
    of_hour = {"expr": ask["Dead letters, 1 h"], "eval_time": "80m", "exp_samples": [{"labels": "{}", "value": 1}]}
    now = [{"labels": '{stage="decode"}', "value": 1}, {"labels": '{stage="store"}', "value": 0}]
    tests = [of_hour, {"expr": ask["Dead letters"], "eval_time": "33m", "exp_samples": now}]
    result = play(tmp_path, [{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}])
    assert result.returncode == 0, result.stdout + result.stderr
