"""A program of libnetfilter_queue in Python, which calls the library by ctypes: the smallest binding there is."""
import ctypes
import ctypes.util
import os
import socket
import sys

library = ctypes.CDLL(ctypes.util.find_library("netfilter_queue") or "libnetfilter_queue.so.1", use_errno=True)
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
for name, result, arguments in [
    ("nfq_open", ctypes.c_void_p, []),
    ("nfq_close", ctypes.c_int, [ctypes.c_void_p]),
    ("nfq_create_queue", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_uint16, CALLBACK, ctypes.c_void_p]),
    ("nfq_set_mode", ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint]),
    ("nfq_fd", ctypes.c_int, [ctypes.c_void_p]),
    ("nfq_handle_packet", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]),
    ("nfq_get_msg_packet_hdr", ctypes.POINTER(ctypes.c_uint32), [ctypes.c_void_p]),
    ("nfq_get_payload", ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]),
    (
        "nfq_set_verdict",
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
]:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments

NF_DROP, NF_ACCEPT, COPY_PACKET = 0, 1, 2
seen = {"packets": 0, "bytes": 0}


def callback(queue, message, data, unused):
    number = socket.ntohl(library.nfq_get_msg_packet_hdr(data)[0])
    payload = ctypes.c_void_p()
    length = library.nfq_get_payload(data, ctypes.byref(payload))
    packet = ctypes.string_at(payload, length)
    seen["packets"] += 1
    seen["bytes"] += len(packet)
    return library.nfq_set_verdict(queue, number, NF_ACCEPT, len(packet), packet)


count = int(sys.argv[1])
handle = library.nfq_open()
if not handle:
    sys.exit(f"nfq_open: {os.strerror(ctypes.get_errno())}")
kept = CALLBACK(callback)
queue = library.nfq_create_queue(handle, 0, kept, None)
if not queue or library.nfq_set_mode(queue, COPY_PACKET, 0xFFFF) < 0:
    sys.exit(f"nfq_create_queue: {os.strerror(ctypes.get_errno())}")
# The interpreter has a socket of its own on the same descriptor.
with socket.socket(fileno=os.dup(library.nfq_fd(handle))) as own:
    assert own.family == socket.AF_NETLINK and own.type == socket.SOCK_RAW, own
    while seen["packets"] < count:
        received = own.recv(70000)
        library.nfq_handle_packet(handle, received, len(received))
library.nfq_close(handle)
print(f"packets {seen['packets']}, bytes {seen['bytes']}")
