"""The JSON Canonicalization Scheme (RFC 8785), for strings, integers, booleans and null."""

import hashlib
import json


def jcs(value):
    """The canonical text of a value."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{jcs(name)}:{jcs(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(jcs(item) for item in value) + "]"
    if isinstance(value, float):
        raise ValueError("artifacts hold no fractions")
    return json.dumps(value, ensure_ascii=False)


def sha256(data):
    return hashlib.sha256(data).digest()


def digest(data):
    """A digest as ACI/1 writes it."""
    return "sha256:" + sha256(data).hex()


def changed(document, path, value):
    """A copy of `document` in which the member at `path` is `value`, or gone if that is `...`."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    copy = list(document) if isinstance(document, list) else dict(document)
    if not rest and value is ...:
        del copy[head]
    elif not rest:
        copy[head] = value
    else:
        copy[head] = changed(document[head], rest, value)
    return copy
