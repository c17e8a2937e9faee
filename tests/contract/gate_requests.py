"""Requests to gates and what the load tester of Flagger 1.44 answers: read in its source, compared with it in e2e/."""

from __future__ import annotations

from typing import NamedTuple

WEB = '{"name":"web","namespace":"shop"}'
HOOK = (
    '{"name":"web","namespace":"shop","phase":"Progressing","checksum":"5d4f8b7c9","metadata":{"k":"v"},'
    '"canary":{"spec":{"x":[1,2.5,null,true]}}}'
)


class Said(NamedTuple):
    """One request and its answer."""

    path: str
    body: str | bytes
    status: int
    text: str
    method: str = "POST"


OK, APPROVED, FORBIDDEN, KEPT, UNREADABLE = (200, "OK"), (200, "Approved"), (403, "Forbidden"), (202, ""), (400, "")

CONSTANT = [
    Said(path, body, *answer, method)
    for path, answer in (("/gate/approve", OK), ("/gate/halt", FORBIDDEN))
    for body, method in ((WEB, "POST"), ("", "POST"), ("no json", "POST"), (HOOK, "PUT"), ("", "GET"))
]
"""Nobody reads what is sent to them."""

SEQUENCES = {
    f"{gate}: {name}": [Said(f"/{gate}/{path}", body, *answer) for path, body, answer in said]
    for gate in ("gate", "rollback")
    for name, said in {
        "closed at first": [("check", WEB, FORBIDDEN), ("check", WEB, FORBIDDEN)],
        "open until closed": [
            ("open", WEB, KEPT), ("check", WEB, APPROVED), ("check", HOOK, APPROVED), ("check", WEB, APPROVED),
            ("close", WEB, KEPT), ("check", WEB, FORBIDDEN), ("open", HOOK, KEPT), ("check", WEB, APPROVED),
        ],
        "opened and closed twice": [
            ("close", WEB, KEPT), ("close", WEB, KEPT), ("check", WEB, FORBIDDEN),
            ("open", WEB, KEPT), ("open", WEB, KEPT), ("check", WEB, APPROVED),
        ],
        "closed by a hook of another revision": [
            ("open", WEB, KEPT), ("close", HOOK, KEPT), ("check", WEB, FORBIDDEN), ("check", HOOK, FORBIDDEN),
        ],
        "others stay closed": [
            ("open", WEB, KEPT), ("check", '{"name":"cart","namespace":"shop"}', FORBIDDEN),
            ("check", '{"name":"web","namespace":"pay"}', FORBIDDEN), ("check", WEB, APPROVED),
        ],
        "a gate of nobody": [("check", "{}", FORBIDDEN), ("open", "null", KEPT), ("check", "{}", APPROVED)],
    }.items()
}  # fmt: skip
SEQUENCES["the two gates are apart"] = [
    Said("/gate/open", WEB, *KEPT), Said("/rollback/check", WEB, *FORBIDDEN), Said("/rollback/open", WEB, *KEPT),
    Said("/gate/close", WEB, *KEPT), Said("/rollback/check", WEB, *APPROVED), Said("/gate/check", WEB, *FORBIDDEN),
]  # fmt: skip

READABLE: dict[str, str | bytes] = {
    "any case of the names": '{"NAME":"web","NameSpace":"shop"}',
    "the last of a repeated name counts": '{"name":"cart","Name":"web","namespace":"shop"}',
    "null changes nothing": '{"name":"web","name":null,"namespace":"shop","metadata":null,"phase":null}',
    "blanks around it": ' \r\n\t{"name" : "web", "namespace":"shop"}\n ',
    "unknown names of any type": '{"name":"web","namespace":"shop","x":[{"y":1e400}],"z":{"name":5}}',
    "escapes": '{"\\u006eame":"w\\u0065b","namespace":"shop"}',
    "metadata of null": '{"name":"web","namespace":"shop","metadata":{"a":null,"b":"c"}}',
    "metadata twice": '{"name":"web","namespace":"shop","metadata":{"a":"1"},"Metadata":{"b":"2"}}',
}
"""Bodies that mean the canary web of the namespace shop."""
ALSO_READABLE: dict[str, str | bytes] = {
    "no UTF-8": b'{"name":"w\xff","namespace":"shop"}',
    "half a surrogate": '{"name":"\\ud800","namespace":"shop"}',
    "nothing in it": "{}",
    "null": "null",
}
"""Bodies that are no mistake either: of another canary, which is closed."""
NOT_READABLE: dict[str, str | bytes] = {
    "empty": "",
    "blank": "  ",
    "text": "hello",
    "cut off": '{"name":"web"',
    "two values": '{"name":"web","namespace":"shop"}{}',
    "a list": "[]",
    "a number": "7",
    "a flag": "true",
    "a string": '"web"',
    "a name that is no text": '{"name":5,"namespace":"shop"}',
    "a namespace that is a list": '{"name":"web","namespace":["shop"]}',
    "a phase that is a flag": '{"name":"web","namespace":"shop","phase":true}',
    "a checksum that is a number": '{"name":"web","namespace":"shop","checksum":1}',
    "metadata that is text": '{"name":"web","namespace":"shop","metadata":"x"}',
    "metadata that holds a number": '{"name":"web","namespace":"shop","metadata":{"a":1}}',
    "metadata that holds an object": '{"name":"web","namespace":"shop","metadata":{"a":{}}}',
    "NaN": '{"name":"web","namespace":"shop","x":NaN}',
    "a comma too many": '{"name":"web","namespace":"shop",}',
    "single quotes": "{'name':'web'}",
    "a byte order mark": b'\xef\xbb\xbf{"name":"web","namespace":"shop"}',
    "a line break in text": '{"name":"we\nb","namespace":"shop"}',
    "form": "name=web&namespace=shop",
}
for gate in ("gate", "rollback"):
    for kind, body in READABLE.items():
        SEQUENCES[f"{gate}: {kind}"] = [Said(f"/{gate}/open", body, *KEPT), Said(f"/{gate}/check", WEB, *APPROVED)]
    for kind, other in ALSO_READABLE.items():
        SEQUENCES[f"{gate}: {kind}"] = [Said(f"/{gate}/check", other, *FORBIDDEN)]
    for kind, broken in NOT_READABLE.items():
        SEQUENCES[f"{gate}: {kind}"] = [
            Said(f"/{gate}/{action}", broken, *UNREADABLE) for action in ("check", "open", "close")
        ]
for method in ("GET", "PUT", "PATCH", "DELETE"):
    SEQUENCES[f"any method: {method}"] = [
        Said("/gate/open", WEB, *KEPT, method), Said("/gate/check", WEB, *APPROVED, method),
    ]  # fmt: skip
"""Each begins with everything closed."""
