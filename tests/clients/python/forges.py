"""Reads the simulated GitHub and GitLab with clients that others wrote, checks what they find against
what the simulator says it holds, and validates GitHub's answers against its published OpenAPI document.

Usage: forges.py PATH_OF_FORGE_SIMULATOR PATH_OF_API_GITHUB_COM_JSON
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

from clients import Outcome, Site, same
from openapi import nullable, problems, validator

outcome = Outcome()
check = outcome.check


class Forge(Site):
    """A running simulated forge, in pages so small that every client has to turn them."""

    def __init__(self, program, kind):
        super().__init__(program, kind, "--page", "20")

    def call(self, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read())


def pygithub(forge):
    from github import Auth, Github

    client = Github(base_url=forge.url, auth=Auth.Token(forge.token), retry=None)

    def repositories():
        found = {repo.full_name: repo.id for repo in client.get_user().get_repos()}
        return same(found, {name: told["id"] for name, told in forge.expected.items()})

    check("PyGithub: repositories", repositories)
    for name, told in forge.expected.items():
        repo = client.get_repo(name)

        def pulls(repo=repo, told=told):
            found = list(repo.get_pulls(state="all", sort="updated", direction="desc"))
            updated = [pull.updated_at for pull in found]
            if updated != sorted(updated, reverse=True):
                return "not in order of their updates"
            return same([len(found), sum(pull.merged_at is not None for pull in found)], [told["pulls"], told["merged"]])

        def parts(repo=repo, told=told):
            found = list(repo.get_pulls(state="all"))
            reviews = sum(len(list(pull.get_reviews())) for pull in found)
            commits = sum(len(list(pull.get_commits())) for pull in found)
            return same([reviews, commits], [told["reviews"], told["pullCommits"]])

        def commits(repo=repo, told=told):
            found = list(repo.get_commits())
            if len({commit.sha for commit in found}) != told["commits"]:
                return f"found {len(found)}, expected {told['commits']}"
            between = repo.compare(found[-1].sha, found[0].sha)
            return same([between.status, between.total_commits], ["ahead", told["commits"] - 1])

        def deployments(repo=repo, told=told):
            found = list(repo.get_deployments())
            statuses = sum(len(list(one.get_statuses())) for one in found)
            return same([len(found), statuses], [told["deployments"], told["statuses"]])

        check(f"PyGithub: pull requests of {name}", pulls)
        check(f"PyGithub: their reviews and commits, {name}", parts)
        check(f"PyGithub: commits and a comparison, {name}", commits)
        check(f"PyGithub: deployments and statuses, {name}", deployments)


def python_gitlab(forge):
    import gitlab

    client = gitlab.Gitlab(forge.url, private_token=forge.token, retry_transient_errors=False)

    def projects():
        listed = client.projects.list(
            membership=True, order_by="id", sort="asc", pagination="keyset", per_page=1, iterator=True
        )
        found = {project.path_with_namespace: project.id for project in listed}
        return same(found, {name: told["id"] for name, told in forge.expected.items()})

    check("python-gitlab: projects by keyset", projects)
    check("python-gitlab: version", lambda: None if client.version()[0].startswith("18.") else client.version())
    for name, told in forge.expected.items():
        project = client.projects.get(name)

        def merge_requests(project=project, told=told):
            found = project.mergerequests.list(state="all", order_by="updated_at", sort="desc", get_all=True)
            updated = [one.updated_at for one in found]
            if updated != sorted(updated, reverse=True):
                return "not in order of their updates"
            later = project.mergerequests.list(updated_after=updated[0], get_all=True)
            if not 1 <= len(later) < len(found):
                return f"{len(later)} of {len(found)} after the latest"
            return same([len(found), sum(one.state == "merged" for one in found)], [told["pulls"], told["merged"]])

        def parts(project=project, told=told):
            found = project.mergerequests.list(state="all", get_all=True)
            commits = sum(len(list(one.commits())) for one in found)
            notes = sum(len(one.notes.list(get_all=True)) for one in found)
            # A note of the forge's own for each, besides the reviews.
            return same([commits, notes], [told["pullCommits"], told["reviews"] + told["pulls"]])

        def commits(project=project, told=told):
            found = project.commits.list(ref_name="main", get_all=True)
            span = f"{found[-1].id}..{found[0].id}"
            between = project.commits.list(ref_name=span, get_all=True)
            return same([len(found), len(between)], [told["commits"], told["commits"] - 1])

        def deployments(project=project, told=told):
            paired = {"order_by": "updated_at", "updated_after": "1970-01-01T00:00:00Z"}
            found = project.deployments.list(sort="desc", get_all=True, **paired)
            try:
                project.deployments.list(updated_after="1970-01-01T00:00:00Z")
                return "a filter by update without its order is accepted"
            except gitlab.GitlabListError:
                return same(len(found), told["deployments"])

        check(f"python-gitlab: merge requests of {name}", merge_requests)
        check(f"python-gitlab: their commits and notes, {name}", parts)
        check(f"python-gitlab: commits and a range, {name}", commits)
        check(f"python-gitlab: deployments, {name}", deployments)


def github_contract(forge, path):
    """Every answer that the product reads, against the schema of its operation."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    nullable(document["components"], lenient=False)
    name = next(iter(forge.expected))
    base = f"/repos/{name}"
    _, pulls = forge.call(f"{base}/pulls?state=all")
    _, commits = forge.call(f"{base}/commits?per_page=20")
    _, deployments = forge.call(f"{base}/deployments")
    merged = [pull["number"] for pull in pulls if pull["merged_at"]]
    merged = next(number for number in merged if forge.call(f"{base}/pulls/{number}/reviews")[1])
    opened = pulls[0]["number"]
    deployment = deployments[0]["id"]
    between = f"{commits[-1]['sha']}...{commits[0]['sha']}"
    repo, one = "/repos/{owner}/{repo}", "/repos/{owner}/{repo}/pulls/{pull_number}"
    calls = [
        ("/user", "/user"),
        ("/user/repos", "/user/repos?sort=full_name"),
        (repo, base),
        (f"{repo}/pulls", f"{base}/pulls?state=all&sort=updated&direction=desc"),
        (one, f"{base}/pulls/{merged}"),
        (one, f"{base}/pulls/{opened}"),
        (f"{one}/reviews", f"{base}/pulls/{merged}/reviews"),
        (f"{one}/commits", f"{base}/pulls/{merged}/commits"),
        (f"{repo}/commits", f"{base}/commits?sha=main"),
        (f"{repo}/compare/{{basehead}}", f"{base}/compare/{between}"),
        (f"{repo}/deployments", f"{base}/deployments"),
        (f"{repo}/deployments/{{deployment_id}}", f"{base}/deployments/{deployment}"),
        (f"{repo}/deployments/{{deployment_id}}/statuses", f"{base}/deployments/{deployment}/statuses"),
    ]
    for operation, call in calls:

        def validate(operation=operation, call=call):
            status, answer = forge.call(call)
            if status != 200 or answer in ([], {}):
                return f"status {status}, {answer!r}"
            return problems(validator(document, operation, "get"), call, answer)

        check(f"contract: GET {operation}", validate)

    def notices():
        """A validator that accepts everything would show nothing."""
        _, answer = forge.call(f"{base}/pulls/{merged}")
        del answer["merge_commit_sha"]
        answer["number"] = "one"
        found = problems(validator(document, one, "get"), "", answer) or ""
        return None if "merge_commit_sha" in found and "number" in found else f"not noticed: {found}"

    check("contract: a wrong answer is noticed", notices)


def main():
    program, document = sys.argv[1:]
    with Forge(program, "github") as forge:
        pygithub(forge)
        github_contract(forge, document)
    with Forge(program, "gitlab") as forge:
        python_gitlab(forge)
    outcome.finish()


main()
