"""Messages over a socket: a frame is written whole and read whole, and no larger than the wire allows."""
import socket

from autograder.engine.wire import HEAD, MAX_TENSORS, MAX_TREE, Hangup, WireError, pack, unpack

MESSAGES = {"answer": 3, "error": 4, "call": 7, "vjp": 4}  # kinds and their lengths


class Frames:
    """One end of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.buffer = sock, bytearray()

    def send(self, tree: list, tensors: list) -> None:
        """Send a message."""
        self.write(pack(tree, tensors))

    def write(self, frame: bytes) -> None:
        """Send bytes."""
        try:
            self.sock.sendall(frame)
        except OSError as error:
            raise Hangup(error) from None

    def receive(self) -> tuple[list, list]:
        """Read one message."""
        size, payload = HEAD.unpack(self.read(HEAD.size))
        if size > MAX_TREE or payload > MAX_TENSORS:
            raise WireError(f"a frame of {size + payload} bytes is over the limit")
        tree, tensors = unpack(self.read(size), self.read(payload))
        if type(tree) is not list or not tree or type(tree[0]) is not str or MESSAGES.get(tree[0]) != len(tree):
            raise WireError(f"not a message: {tree!r:.80}")
        return tree, tensors

    def read(self, size: int) -> bytes:
        """Read so many bytes; what came beyond them waits for the next time."""
        while len(self.buffer) < size:
            self.wait()
            try:
                got = self.sock.recv(max(1 << 16, min(size - len(self.buffer), 1 << 22)))
            except OSError:
                got = b""
            if not got:
                raise Hangup("end of stream")
            self.buffer += got
        data = bytes(memoryview(self.buffer)[:size])
        del self.buffer[:size]
        return data

    def wait(self) -> None:
        """Block until there is something to read."""
