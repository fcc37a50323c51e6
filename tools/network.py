"""A network with delay and loss between network namespaces, for tests of programs that talk to each other.

tools/network.py DELAY_MS LOSS_PERCENT NAMESPACE...

The namespaces must exist. Number n gets the address 10.77.0.n, from 1 on. Every packet takes DELAY_MS, and LOSS_PERCENT of them
get lost, always the same ones. Needs root and /dev/net/tun, no kernel modules. Prints a line when the network is there, and
runs until it is ended.
"""

import collections
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 9000


def device(name, namespace, address):
    """A device in a namespace, whose packets are read and written here."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    run = lambda *words: subprocess.run(words, check=True)
    inside = ("ip", "netns", "exec", namespace)
    run("ip", "link", "set", name, "netns", namespace)
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "link", "set", name, "mtu", str(MTU), "txqueuelen", "10000", "up")
    run(*inside, "ip", "address", "add", f"{address}/24", "dev", name)
    return tun


def main():
    delay, loss, namespaces = float(sys.argv[1]) / 1000, float(sys.argv[2]) / 100, sys.argv[3:]
    devices = {}
    for number, namespace in enumerate(namespaces, 1):
        address = f"10.77.0.{number}"
        devices[bytes(int(part) for part in address.split("."))] = device(f"glass{number}", namespace, address)
    print("ready", flush=True)
    chance, waiting = random.Random(1), collections.deque()
    while True:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for tun in select.select(list(devices.values()), [], [], left)[0]:
            now = time.monotonic()
            for _ in range(64):
                try:
                    packet = os.read(tun, MTU + 64)
                except BlockingIOError:
                    break
                to = devices.get(packet[16:20])
                if to is not None and chance.random() >= loss:
                    waiting.append((now + delay, to, packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, to, packet = waiting.popleft()
            try:
                os.write(to, packet)
            except OSError:
                pass  # A full queue loses packets too.


main()
