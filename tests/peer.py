"""The other end of tests/python_peer.rs: the socket module of CPython.

It speaks over standard input, a unix socket, and prints lines of words.
"""

import array
import os
import signal
import socket
import struct
import sys

# By number: most of these have no name in older versions of the module.
IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 1, 2, 8, 12, 13
IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, IPV6_RECVTCLASS, IPV6_TCLASS = 49, 50, 51, 52, 66, 67

TIMEOUT = 10


def say(*words):
    print(*words, flush=True)


def control_socket():
    peer = socket.socket(fileno=os.dup(0))
    peer.settimeout(TIMEOUT)
    return peer


def receive_fds(most):
    """Prints data, flags and the contents of the descriptors of every message until the peer closes."""
    peer = control_socket()
    while True:
        data, fds, flags, _ = socket.recv_fds(peer, 1000, int(most))
        if not data:
            break
        say("fds", data.decode(), flags & socket.MSG_CTRUNC, *(os.pread(fd, 100, 0).decode() for fd in fds))
        for fd in fds:
            os.close(fd)


def send_fds(*counts):
    peer = control_socket()
    for count in map(int, counts):
        fds = []
        for i in range(count):
            fd = os.memfd_create("peer")
            os.write(fd, b"python %d of %d" % (i, count))
            fds.append(fd)
        socket.send_fds(peer, [b"take ", b"%d" % count], fds)
        for fd in fds:
            os.close(fd)
        # One at a time: the answer says that it has been read.
        assert peer.recv(1) == b"."
    # The raw form, with two messages in one list.
    fd = os.memfd_create("peer")
    os.write(fd, b"raw")
    one = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
    two = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd, fd]))
    peer.sendmsg([b"two lists"], [one, two])
    assert peer.recv(1) == b"."


def stream(room, piece):
    """Reads frames, so many bytes at a time, and sends each back in pieces, its descriptors with the first.

    A frame is two numbers of four bytes, how many bytes and how many descriptors, and so many bytes.
    """
    room, piece = int(room), int(piece)
    peer = control_socket()
    waiting, fds = b"", []
    while True:
        data, came, flags, _ = socket.recv_fds(peer, room, 253)
        if not data:
            break
        assert not flags & socket.MSG_CTRUNC
        waiting += data
        fds += came
        while len(waiting) >= 8:
            length, count = struct.unpack("!II", waiting[:8])
            if len(waiting) < 8 + length:
                break
            assert len(fds) >= count, "a whole frame without its descriptors"
            frame, waiting = waiting[: 8 + length], waiting[8 + length :]
            theirs, fds = fds[:count], fds[count:]
            socket.send_fds(peer, [frame[:piece]], theirs)
            for at in range(piece, len(frame), piece):
                peer.sendall(frame[at : at + piece])
            for fd in theirs:
                os.close(fd)
    assert not waiting and not fds


def internet(family):
    """Prints what arrives, and answers each datagram with the control messages that its data asks for."""
    v6 = family == "6"
    server = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(TIMEOUT)
    server.bind(("::" if v6 else "0.0.0.0", 0))
    if v6:
        for option in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS):
            server.setsockopt(IPV6, option, 1)
    for option in (IP_RECVTTL, IP_RECVTOS) if v6 else (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
        server.setsockopt(IP, option, 1)
    say("port", server.getsockname()[1])
    while True:
        data, ancillary, flags, peer = server.recvmsg(2000, 1000)
        if data == b"end":
            break
        found = ["%d/%d/%s" % (level, type, payload.hex()) for level, type, payload in ancillary]
        say("message", data.decode().replace(" ", "_"), flags, peer[0], *found)
        # "level/type/hex ..." is what to send.
        ask = []
        for word in data.decode().split():
            level, type, payload = word.split("/")
            ask.append((int(level), int(type), bytes.fromhex(payload)))
        server.sendmsg([b"ans", b"wer"], ask, 0, peer)


signal.alarm(60)  # Never outlives the test by long.
{"receive_fds": receive_fds, "send_fds": send_fds, "stream": stream, "internet": internet}[sys.argv[1]](*sys.argv[2:])
say("done")
