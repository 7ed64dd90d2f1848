#!/usr/bin/env python3
"""Takes QEMU's pictures of the guest: reference.py IMAGE FOLDER.

Writes FOLDER/N.ppm for each mode N, and for a mode that blinks both pictures, N.ppm and N-other.ppm.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

LIMIT = 60
BLINKING = {1}


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(LIMIT)
    return listener


def main(image, folder):
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        listeners = [listen(f"{work}/qmp"), listen(f"{work}/debug")]
        qemu = subprocess.Popen([
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none",
            "-device", "VGA,vgamem_mb=32", "-drive", f"file={image},format=raw,snapshot=on",
            "-qmp", f"unix:{work}/qmp", "-chardev", f"socket,id=debug,path={work}/debug",
            "-device", "isa-debugcon,iobase=0xe9,chardev=debug",
        ])
        try:
            qmp, debug = [listener.accept()[0] for listener in listeners]
            for connection in (qmp, debug):
                connection.settimeout(LIMIT)
            take(qmp.makefile("rw"), debug.makefile("r"), os.path.abspath(folder))
        finally:
            qemu.kill()
            qemu.wait()


def take(qmp, debug, folder):
    def execute(command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=qmp, flush=True)
        while True:
            answer = json.loads(qmp.readline())
            if "return" in answer or "error" in answer:
                assert "return" in answer, answer
                return

    def dump(name):
        execute("screendump", filename=f"{folder}/{name}.ppm")
        with open(f"{folder}/{name}.ppm", "rb") as picture:
            return picture.read()

    qmp.readline()
    execute("qmp_capabilities")
    for line in debug:
        if line == "end\n":
            return
        _, number, *missing = line.split()
        print(line, end="")
        if not missing:
            first, deadline = dump(number), time.monotonic() + LIMIT
            while int(number) in BLINKING and dump(f"{number}-other") == first:
                assert time.monotonic() < deadline, "nothing blinks"
        execute("send-key", keys=[{"type": "qcode", "data": "spc"}])
    raise SystemExit("QEMU has gone")


if __name__ == "__main__":
    main(*sys.argv[1:])
