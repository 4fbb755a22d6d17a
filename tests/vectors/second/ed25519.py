"""Ed25519 as RFC 8032 section 5.1 describes it: slow, not constant-time, for test vectors only."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def _add(a, b):
    """Adds two points in extended homogeneous coordinates (X, Y, Z, T)."""
    s = (a[1] - a[0]) * (b[1] - b[0]) % P
    t = (a[1] + a[0]) * (b[1] + b[0]) % P
    u = 2 * a[3] * b[3] * D % P
    v = 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _multiply(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _with_y(y, odd):
    """The point with this y whose x is odd or even; `None` if there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - square) % P or y >= P or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = _with_y(4 * pow(5, P - 2, P) % P, 0)


def _encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar &= (1 << 254) - 8
    scalar |= 1 << 254
    return scalar, digest[32:]


def _hash_to_scalar(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def public_key(seed):
    return _encode(_multiply(_expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = _expand(seed)
    public = _encode(_multiply(scalar, BASE))
    r = _hash_to_scalar(prefix, message)
    commitment = _encode(_multiply(r, BASE))
    s = (r + _hash_to_scalar(commitment, public, message) * scalar) % L
    return commitment + s.to_bytes(32, "little")


def verify(public, message, signature):
    """RFC 8032 section 5.1.7, without the cofactor."""
    if len(public) != 32 or len(signature) != 64:
        return False
    encoded = int.from_bytes(public, "little")
    point = _with_y(encoded % 2**255, encoded >> 255)
    s = int.from_bytes(signature[32:], "little")
    if point is None or s >= L:
        return False
    k = _hash_to_scalar(signature[:32], public, message)
    minus = (P - point[0], point[1], 1, P - point[3])
    return _encode(_add(_multiply(s, BASE), _multiply(k, minus))) == signature[:32]


def with_s_beyond_order(signature):
    """The same signature with S + L for S: what a verifier must refuse (RFC 8032 section 5.1.7)."""
    s = int.from_bytes(signature[32:], "little") + L
    return signature[:32] + s.to_bytes(32, "little")


def self_test():
    """RFC 8032 section 7.1, tests 1 and 2."""
    for seed, public, message, signature in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ]:
        seed, message = bytes.fromhex(seed), bytes.fromhex(message)
        assert public_key(seed).hex() == public
        signed = sign(seed, message)
        assert signed.hex() == signature
        assert verify(bytes.fromhex(public), message, signed)
        assert not verify(bytes.fromhex(public), message + b"x", signed)
        assert not verify(bytes.fromhex(public), message, with_s_beyond_order(signed))
