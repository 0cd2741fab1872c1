import json, os
from support.least_privilege import used


def test_show(api_server):
    events = [json.loads(l) for l in api_server.audit_log.open()]
    users = {e["user"]["username"] for e in events if "lora-operator" in e["user"]["username"]}
    import collections

    c = collections.Counter()
    for u in users:
        for r in used(events, u):
            c[(r.verb, r.resource)] += 1
    forb = collections.Counter(
        (e["verb"], e["objectRef"]["resource"], e["objectRef"].get("subresource"))
        for e in events
        if e["user"]["username"] in users and e.get("objectRef") and e.get("responseStatus", {}).get("code") == 403
    )
    print(sorted(c.items()))
    print(forb)
    assert 0
