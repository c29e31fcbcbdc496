"""Validates answers of a site against Atlassian's OpenAPI specifications."""

import gzip
import json
import os
import re

from jsonschema import Draft4Validator

# Where the specifications are known to be wrong: (path of the call, path inside the answer, reason).
WRONG = [
    (r"", r"(from|fromString|to|toString)$", "an end of a change may be null"),
    (r"changelog/bulkfetch", r"created$", "sent as a number, specified as a date"),
]


def load(folder, name):
    with gzip.open(os.path.join(folder, name), "rt", encoding="utf-8") as file:
        return json.load(file)


def nullable(schema, lenient=True):
    """Turns OpenAPI 3.0 `nullable` into JSON schema, in place, and drops what only describes."""
    if isinstance(schema, dict):
        # Jira adds properties all the time; the specification of a day cannot forbid them.
        if lenient and schema.get("additionalProperties") is False:
            schema.pop("additionalProperties")
        if schema.pop("nullable", False) and isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        for value in schema.values():
            nullable(value, lenient)
    elif isinstance(schema, list):
        for value in schema:
            nullable(value, lenient)


def validator(specification, path, method):
    operation = specification["paths"][path][method]
    answer = operation["responses"]["200"]["content"]["application/json"].get("schema")
    schema = {**answer, "components": specification["components"]}
    return Draft4Validator(schema)


def problems(checker, call, answer):
    found = []
    for error in checker.iter_errors(answer):
        path = ".".join(str(part) for part in error.absolute_path)
        if not any(re.search(where, call) and re.search(inside, path) for where, inside, _ in WRONG):
            found.append(f"{path}: {error.message[:120]}")
    return "; ".join(found[:5]) or None


def check_contract(site, folder, check):
    platform = load(folder, "jira-platform-v3.json.gz")
    software = load(folder, "jira-software.json.gz")
    nullable(platform)
    nullable(software)
    calls = [
        (platform, "/rest/api/3/serverInfo", "", None),
        (platform, "/rest/api/3/myself", "", None),
        (platform, "/rest/api/3/field", "", None),
        (platform, "/rest/api/3/field/search", "", None),
        (platform, "/rest/api/3/status", "", None),
        (platform, "/rest/api/3/statuses/search", "", None),
        (platform, "/rest/api/3/statuscategory", "", None),
        (platform, "/rest/api/3/project/search", "?expand=lead,description,issueTypes", None),
        (platform, "/rest/api/3/project/{projectIdOrKey}", "", None),
        (platform, "/rest/api/3/project/{projectIdOrKey}/versions", "", None),
        (platform, "/rest/api/3/project/{projectIdOrKey}/components", "", None),
        (platform, "/rest/api/3/users/search", "?maxResults=1000", None),
        (platform, "/rest/api/3/priority/search", "", None),
        (platform, "/rest/api/3/resolution/search", "", None),
        (platform, "/rest/api/3/issuetype", "", None),
        (platform, "/rest/api/3/issueLinkType", "", None),
        (platform, "/rest/api/3/label", "", None),
        (platform, "/rest/api/3/mypermissions", "?permissions=BROWSE_PROJECTS", None),
        (platform, "/rest/api/3/worklog/updated", "?since=0", None),
        (platform, "/rest/api/3/search/jql", "?jql=id>0&fields=*all&maxResults=100&expand=changelog", None),
        (platform, "/rest/api/3/search/approximate-count", "", {"jql": "id > 0"}),
        (platform, "/rest/api/3/issue/{issueIdOrKey}", "", None),
        (platform, "/rest/api/3/issue/{issueIdOrKey}/changelog", "", None),
        (platform, "/rest/api/3/issue/{issueIdOrKey}/comment", "", None),
        (platform, "/rest/api/3/issue/{issueIdOrKey}/worklog", "", None),
        (platform, "/rest/api/3/issue/bulkfetch", "", {"issueIdsOrKeys": ["ATLAS-5", "ATLAS-6"], "fields": ["*all"]}),
        (platform, "/rest/api/3/changelog/bulkfetch", "", {"issueIdsOrKeys": ["ATLAS-5", "ATLAS-6"]}),
        (software, "/rest/agile/1.0/board", "", None),
        (software, "/rest/agile/1.0/board/{boardId}", "", None),
        (software, "/rest/agile/1.0/board/{boardId}/configuration", "", None),
        (software, "/rest/agile/1.0/board/{boardId}/issue", "?maxResults=20", None),
    ]
    names = {"projectIdOrKey": "ATLAS", "issueIdOrKey": "ATLAS-5", "boardId": "1"}
    for specification, path, query, body in calls:
        call = re.sub(r"\{(\w+)\}", lambda part: names[part[1]], path)
        method = "get" if body is None else "post"

        def validate(specification=specification, path=path, call=call, query=query, body=body, method=method):
            status, answer = site.call(call + query.replace(">", "%3E"), body)
            if status != 200:
                return f"status {status}"
            try:
                checker = validator(specification, path, method)
            except KeyError as missing:
                return f"the specification has no {missing}"
            return problems(checker, call, answer)

        check(f"contract: {method.upper()} {path}", validate)
