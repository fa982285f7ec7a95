// The file of a unix socket that roundhouse listens at. A socket that a killed process had left made every later start
// fail; taking whatever is there would have taken a running server's clients away.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SocketFile } from "../../../src/net/socket_file.ts";
import { connectTo, leaveStaleSocket, SocketDirectory } from "../../support/unix_socket.ts";

const MODE = 0o660;

async function listen(path: string, mode = MODE): Promise<{ file: SocketFile; listener: Deno.UnixListener }> {
  const file = await SocketFile.claim({ path, mode });
  return { file, listener: openAt(file) };
}

function openAt(file: SocketFile): Deno.UnixListener {
  return file.open((path) => Deno.listen({ transport: "unix", path }), (listener) => listener.close());
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test("SocketFile makes a socket with its mode, whatever the umask, and removes it", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("a");
  for (const mask of [0, 0o22, 0o777]) {
    for (const mode of [0o600, 0o660, 0o666]) {
      const before = Deno.umask(mask);
      try {
        const { file, listener } = await listen(path, mode);
        assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, mode);
        assertEquals(Deno.umask(), mask);
        listener.close();
        file.remove();
        assertEquals(exists(path), false);
        file.remove();
      } finally {
        Deno.umask(before);
      }
    }
  }
});

Deno.test("SocketFile replaces a socket that nobody listens on", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("a");
  await leaveStaleSocket(path);
  await assertRejects(() => connectTo(path), Deno.errors.ConnectionRefused);
  const { file, listener } = await listen(path);
  (await connectTo(path)).close();
  listener.close();
  file.remove();
});

Deno.test("SocketFile refuses a socket in use, and files that are not sockets, and leaves them as they are", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("a");
  using other = Deno.listen({ transport: "unix", path });
  await assertRejects(() => listen(path), Deno.errors.AddrInUse, "another process listens there");
  (await connectTo(path)).close();
  (await other.accept()).close(); // the question
  (await other.accept()).close(); // the client: the listener is still the one that it finds
  const text = `${directory.path}/text`;
  Deno.writeTextFileSync(text, "kept");
  Deno.symlinkSync(text, `${directory.path}/link`);
  Deno.mkdirSync(`${directory.path}/folder`);
  for (const name of ["text", "link", "folder"]) {
    await assertRejects(() => listen(`${directory.path}/${name}`), Deno.errors.AlreadyExists, "not a socket");
  }
  assertEquals(Deno.readTextFileSync(text), "kept");
  assertEquals(exists(`${directory.path}/link`), true);
});

Deno.test("SocketFile leaves the socket of whoever has taken the path meanwhile", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("a");
  const { file, listener } = await listen(path);
  Deno.removeSync(path);
  using _other = Deno.listen({ transport: "unix", path });
  listener.close();
  file.remove();
  (await connectTo(path)).close();
});

Deno.test("SocketFile gives the path to one of several that start at the same moment", async () => {
  // Each found the stale socket; the slower one then removed the socket of the faster one.
  using directory = new SocketDirectory();
  for (let round = 0; round < 5; round++) {
    const path = directory.at(`a${round}`);
    await leaveStaleSocket(path);
    const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => listen(path)));
    const open = outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
    const errors = outcomes.flatMap((outcome) => outcome.status === "rejected" ? [outcome.reason] : []);
    assertEquals(open.length, 1);
    assertEquals(errors.every((error) => error instanceof Deno.errors.AddrInUse), true, String(errors));
    (await connectTo(path)).close();
    for (const { file, listener } of open) {
      listener.close();
      file.remove();
    }
  }
});

Deno.test("SocketFile opens again after its listener has ended", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("a");
  const { file, listener } = await listen(path);
  listener.close();
  const again = openAt(file);
  (await connectTo(path)).close();
  assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, MODE);
  again.close();
  file.remove();
  assertEquals(exists(path), false);
});

Deno.test("SocketFile leaves nothing behind where it can't listen", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("a");
  const file = await SocketFile.claim({ path, mode: MODE });
  using _other = Deno.listen({ transport: "unix", path });
  assertThrows(() => openAt(file), Deno.errors.AddrInUse);
  file.remove();
  (await connectTo(path)).close();
  const blocked = `${directory.path}/b.sock`;
  const late = await SocketFile.claim({ path: blocked, mode: MODE });
  const failing = () =>
    late.open((temporary) => {
      const listener = Deno.listen({ transport: "unix", path: temporary });
      Deno.mkdirSync(`${blocked}/full`, { recursive: true }); // so that the file can't get its name
      return listener;
    }, (listener) => listener.close());
  assertThrows(failing, Error);
  assertEquals(Array.from(Deno.readDirSync(directory.path), ({ name }) => name).toSorted(), ["a.sock", "b.sock"]);
});

Deno.test("SocketFile listens at the longest path that there may be", async () => {
  using directory = new SocketDirectory();
  for (const length of [1, 2, 20, 107 - directory.path.length - 1]) {
    const path = `${directory.path}/${"x".repeat(length)}`;
    const { file, listener } = await listen(path);
    (await connectTo(path)).close();
    listener.close();
    file.remove();
  }
  const folder = `${directory.path}/${"d".repeat(107 - directory.path.length - 3)}`;
  Deno.mkdirSync(folder);
  const { file, listener } = await listen(`${folder}/a`);
  assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["a"]);
  listener.close();
  file.remove();
});
