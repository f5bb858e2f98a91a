#!/usr/bin/env python3
"""A network of machines on one: a namespace each, a wire between them that cuts, delays and loses.

    tests/network/wire.py COUNT PREFIX

Makes COUNT network namespaces PREFIX0, PREFIX1, ... with the addresses 10.77.0.1, 10.77.0.2, ... on a
TUN device each, and carries their packets in this process, so that a kernel without tc's netem can
do it too. This machine is 10.77.0.254 on the same wire, never cut, delayed or lossy. Reads commands
on standard input, answers each with one line of JSON, and takes everything down when that ends:

    groups 0,1 2,3     lets packets pass inside a group only; `groups` alone heals
    link MS LOSS       each packet comes so late; of so many in one, LOSS are lost
    stats              counts packets carried, cut and lost so far
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
PACKET = 65_536
# Packets that wait to arrive; a wire that is asked for more loses them, as a real one does.
QUEUE = 50_000
OBSERVER = 254


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def device(name):
    """Makes a TUN device of this machine and returns what reads and writes its packets."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


class Wire:
    """Carries packets between devices, by the last byte of their addresses."""

    def __init__(self, count, prefix):
        self.names = [f"{prefix}{index}" for index in range(count)]
        self.ends = {}
        self.made = []
        self.group = {}
        self.delay_s, self.loss = 0.0, 0.0
        self.random = random.Random(prefix)
        self.waiting = []
        self.order = 0
        self.stats = {"carried": 0, "cut": 0, "lost": 0}

    def open(self):
        for index, name in enumerate(self.names):
            self.ends[index + 1] = device(name)
            ip("netns", "add", name)
            self.made.append(name)
            ip("link", "set", name, "netns", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "addr", "add", f"10.77.0.{index + 1}/24", "dev", name)
            ip("-n", name, "link", "set", name, "up")
        own = f"{self.names[0][:-1]}x"
        self.ends[OBSERVER] = device(own)
        ip("addr", "add", f"10.77.0.{OBSERVER}/24", "dev", own)
        ip("link", "set", own, "up")

    def close(self):
        for end in self.ends.values():
            os.close(end)
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def take(self, end):
        """Takes a packet off a device and decides what becomes of it."""
        try:
            packet = os.read(end, PACKET)
        except OSError:
            return
        if len(packet) < 20 or packet[0] >> 4 != 4:
            return
        source, target = packet[15], packet[19]
        if target not in self.ends:
            return
        if OBSERVER in (source, target):
            self.give(target, packet)
        elif self.group.get(source) != self.group.get(target):
            self.stats["cut"] += 1
        elif self.random.random() < self.loss or len(self.waiting) >= QUEUE:
            self.stats["lost"] += 1
        elif self.delay_s:
            self.order += 1
            heapq.heappush(self.waiting, (time.monotonic() + self.delay_s, self.order, target, packet))
        else:
            self.give(target, packet)

    def give(self, target, packet):
        self.stats["carried"] += 1
        try:
            os.write(self.ends[target], packet)
        except OSError:
            # The device is full or gone: the packet is lost, as on any wire.
            self.stats["lost"] += 1

    def obey(self, words):
        """Does a command and returns the answer."""
        match words:
            case ["groups", *groups]:
                self.group = {int(one) + 1: name for name in groups for one in name.split(",")}
            case ["link", delay_ms, loss]:
                self.delay_s, self.loss = float(delay_ms) / 1_000, float(loss)
            case ["stats"]:
                return self.stats
            case _:
                return {"error": f"no command {words}"}
        return {"done": words}

    def run(self):
        poll = select.poll()
        for end in (sys.stdin.fileno(), *self.ends.values()):
            poll.register(end, select.POLLIN)
        commands = b""
        while True:
            left = self.waiting[0][0] - time.monotonic() if self.waiting else 1
            for end, _ in poll.poll(max(0, left * 1_000)):
                if end != sys.stdin.fileno():
                    self.take(end)
                    continue
                some = os.read(end, 4_096)
                if not some:
                    return
                *lines, commands = (commands + some).split(b"\n")
                for line in lines:
                    print(json.dumps(self.obey(line.decode().split())), flush=True)
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, target, packet = heapq.heappop(self.waiting)
                # A packet under way when a cable is cut does not arrive.
                if self.group.get(packet[15]) == self.group.get(target):
                    self.give(target, packet)
                else:
                    self.stats["cut"] += 1


def main():
    wire = Wire(int(sys.argv[1]), sys.argv[2])
    try:
        wire.open()
        print(json.dumps({"namespaces": wire.names}), flush=True)
        wire.run()
    finally:
        wire.close()


if __name__ == "__main__":
    main()
