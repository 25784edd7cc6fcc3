"""The records that every suite writes and reads in the exchange (see ../README.md)."""

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS_PER_CODEC = 20


def expected():
    """Yields (codec, key, value, headers) in the order in which they stand in the topic's one partition."""
    for codec in CODECS:
        for i in range(RECORDS_PER_CODEC):
            key = None if i == 19 else f"{codec}-{i}".encode()
            value = None if i == 18 else f"{codec} {i} ".encode() + b"x" * 100
            yield codec, key, value, [("codec", codec.encode()), ("origin", b"exchange")]


def check(topic, actual):
    """`actual`: list of (key, value, headers)."""
    wanted = [record[1:] for record in expected()]
    if len(actual) != len(wanted):
        raise AssertionError(f"{topic}: {len(actual)} records instead of {len(wanted)}")
    for position, (got, want) in enumerate(zip(actual, wanted)):
        if got != want:
            raise AssertionError(f"{topic}: offset {position} is {got!r} instead of {want!r}")
