"""kcat's part in the exchange."""

import json
import subprocess
import sys

import exchange
from suite import bootstrap

def produce(topic, codec, lines, *options):
    subprocess.run(["kcat", "-P", "-b", bootstrap(), "-t", topic, "-p", "0", "-z", codec, "-X", "linger.ms=50",
                    "-H", f"codec={codec}", "-H", "origin=exchange", *options], input=b"\n".join(lines), check=True, timeout=30)


def write(topic):
    for codec in exchange.CODECS:
        records = [(key, value) for name, key, value, _ in exchange.expected() if name == codec]
        produce(topic, codec, [key + b"\t" + (value or b"") for key, value in records if key is not None], "-K", "\t", "-Z")
        produce(topic, codec, [value for key, value in records if key is None])


def read(topic):
    output = subprocess.run(["kcat", "-C", "-b", bootstrap(), "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-J",
                             "-X", "check.crcs=true"], capture_output=True, check=True, timeout=60).stdout
    records = []
    for line in output.splitlines():
        message = json.loads(line)
        names, values = message["headers"][::2], message["headers"][1::2]
        records.append((encoded(message["key"]), encoded(message["payload"]), [(n, encoded(v)) for n, v in zip(names, values)]))
    exchange.check(topic, records)


def encoded(text):
    return None if text is None else text.encode()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "exchange-write":
        write(arguments[0])
    else:
        for name in arguments:
            read(name)
