"""Reads a simulated site with the Python clients `jira` and `atlassian-python-api`, as Cloud and as
Data Center, and checks the answers against what the site says it holds.

Usage: clients.py PATH_OF_JIRA_SIMULATOR [--node SCRIPT]
"""

import base64
import json
import os
import subprocess
import sys
import urllib.request

from openapi import check_contract

NOW = "2026-05-20T11:30:00Z"


class Outcome:
    """Checks one after the other, and how many failed."""

    def __init__(self):
        self.failures = 0

    def report(self, name, problem=None):
        self.failures += problem is not None
        print(f"{'FAIL' if problem else 'pass'}  {name}" + (f": {problem}" if problem else ""), flush=True)

    def check(self, name, action):
        try:
            self.report(name, action())
        except Exception as error:  # a client's own exception is the finding
            self.report(name, f"{type(error).__name__}: {str(error)[:300]}")

    def finish(self):
        print(f"{self.failures} failed" if self.failures else "all passed")
        sys.exit(1 if self.failures else 0)


outcome = Outcome()
report, check = outcome.report, outcome.check


def same(found, wanted):
    return None if found == wanted else f"found {found!r}, expected {wanted!r}"


class Site:
    """A running simulator."""

    def __init__(self, program, *arguments):
        command = [program, "--now", NOW, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.url, self.email, self.token = ready["url"], ready.get("email"), ready["token"]
        self.expected = ready["expected"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def call(self, path, body=None):
        """One bare request: status and decoded body."""
        secret = base64.b64encode(f"{self.email}:{self.token}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read())


def pycontribs(site, cloud):
    """The `jira` package."""
    from jira import JIRA

    label = f"jira ({'Cloud' if cloud else 'Data Center'})"
    client = JIRA(site.url, basic_auth=(site.email, site.token), max_retries=0)
    expected = site.expected

    def issues():
        # Data Center compares an id within the project of the issue that has it.
        fields = "*all"
        if cloud:
            found = client.enhanced_search_issues("id > 0 ORDER BY id", maxResults=0, fields=fields)
        else:
            found = client.search_issues("created >= 0 ORDER BY id", maxResults=0, fields=fields)
        return same(len({issue.id for issue in found}), expected["issues"])

    def changelog():
        search = client.enhanced_search_issues if cloud else client.search_issues
        found = search("created >= 0 ORDER BY id", maxResults=50, fields="summary", expand="changelog")
        histories = sum(len(issue.changelog.histories) for issue in found)
        return None if histories > 50 else f"only {histories} histories"

    def sprints():
        found = client.sprints(1, maxResults=False)
        return same(len(found), expected["sprints"])

    def sprint_field():
        search = client.enhanced_search_issues if cloud else client.search_issues
        found = search(f"sprint = {expected['sprint']}", maxResults=1, fields="*all")
        value = found[0].raw["fields"][expected["sprintField"]][0]
        wanted = dict if cloud else str
        return None if isinstance(value, wanted) else f"a {type(value).__name__}"

    check(f"{label}: kind of site", lambda: same(client.server_info()["deploymentType"], "Cloud" if cloud else "Server"))
    check(f"{label}: account", lambda: same(client.myself()["timeZone"], "Europe/Berlin"))
    check(f"{label}: every issue", issues)
    check(f"{label}: inline changelogs", changelog)
    check(f"{label}: projects", lambda: same(len(client.projects()), expected["projects"]))
    check(f"{label}: boards", lambda: same(len(client.boards()), expected["boards"]))
    check(f"{label}: sprints", sprints)
    check(f"{label}: form of the sprint field", sprint_field)
    check(f"{label}: one issue", lambda: same(client.issue("ATLAS-5").key, "ATLAS-5"))
    check(f"{label}: statuses", lambda: same(len(client.statuses()), expected["statuses"]))


def atlassian(site):
    """The `atlassian-python-api` package."""
    from atlassian import Jira

    client = Jira(url=site.url, username=site.email, password=site.token, cloud=True)
    expected = site.expected

    def issues():
        found, token = 0, None
        while True:
            page = client.enhanced_jql("id > 0 ORDER BY id", fields="summary", limit=100, nextPageToken=token)
            found += len(page["issues"])
            token = page.get("nextPageToken")
            if token is None:
                return same(found, expected["issues"])

    def members():
        page = client.get_all_issues_for_sprint_in_board(1, expected["sprint"], limit=100)
        return same(page["total"], expected["sprintIssues"])

    check("atlassian-python-api: every issue", issues)
    check("atlassian-python-api: boards", lambda: same(client.get_all_agile_boards()["total"], expected["boards"]))
    check("atlassian-python-api: sprints", lambda: same(
        client.get_all_sprints_from_board(1, limit=50)["total"], expected["sprints"]))
    check("atlassian-python-api: issues of a sprint", members)
    check("atlassian-python-api: changelog", lambda: same(
        client.get_issue_changelog("ATLAS-5", start=0, limit=50)["startAt"], 0))
    check("atlassian-python-api: fields", lambda: None if len(client.get_all_fields()) > 40 else "too few")


def retries(program):
    """Clients that honour Retry-After get through a limited site."""
    from jira import JIRA

    with Site(program, "--limit-every", "5") as site:
        client = JIRA(site.url, basic_auth=(site.email, site.token), max_retries=3)
        check("jira: gets through 429 answers", lambda: same(
            len(client.enhanced_search_issues("project = ATLAS", maxResults=200, fields="id")), 200))


def node(script, site):
    command = ["node", script, site.url, site.email, site.token, json.dumps(site.expected)]
    environment = {**os.environ, "AUDIT_SCHEMAS": "true"}
    if subprocess.run(command, env=environment).returncode:
        report("jira.js", "see above")


def main():
    program = sys.argv[1]
    with Site(program) as site:
        pycontribs(site, cloud=True)
        atlassian(site)
        if "--node" in sys.argv:
            node(sys.argv[sys.argv.index("--node") + 1], site)
        folder = os.environ.get("SPRINT_REPORTS_TEST_DATA")
        if folder:
            check_contract(site, os.path.join(folder, "openapi"), check)
        else:
            print("skip  OpenAPI contract: SPRINT_REPORTS_TEST_DATA names no folder")
    with Site(program, "--deployment", "data-center") as site:
        pycontribs(site, cloud=False)
    retries(program)
    outcome.finish()


if __name__ == "__main__":
    main()
