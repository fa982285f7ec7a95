import { assertEquals, assertRejects } from "@std/assert";
import { connectTo } from "../../../src/net/endpoint.ts";
import { SocketDirectory } from "../../support/unix_socket.ts";

Deno.test("connectTo() waits while the accept queue of a socket is full", async () => {
  // The system refuses at once, where a port would let clients wait: a burst marked a backend down that was well.
  using directory = new SocketDirectory();
  const path = directory.at("busy");
  const script = "import socket,sys,time\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(1)\n" +
    "print('listening',flush=True)\nsys.stdin.readline()\nwhile True: s.accept()[0].close()";
  const command = new Deno.Command("python3", { args: ["-c", script, path], stdin: "piped", stdout: "piped" });
  await using server = command.spawn();
  const reader = server.stdout.getReader();
  await reader.read();
  const held: Deno.Conn[] = [];
  const full = async () => {
    while (true) held.push(await Deno.connect({ transport: "unix", path }));
  };
  await assertRejects(full, Error, "temporarily unavailable");
  const limit = new AbortController();
  const late = connectTo({ path }, limit.signal);
  limit.abort(new Error("too late"));
  await assertRejects(() => late, Error, "too late");
  const waiting = connectTo({ path }, new AbortController().signal);
  const writer = server.stdin.getWriter();
  await writer.write(new TextEncoder().encode("go on\n"));
  await writer.close();
  (await waiting).close();
  for (const connection of held) connection.close();
  await reader.cancel();
  server.kill();
  await server.status;
});

Deno.test("connectTo() fails at once where there is no socket, and where nobody listens", async () => {
  using directory = new SocketDirectory();
  const { signal } = new AbortController();
  await assertRejects(() => connectTo({ path: directory.at("none") }, signal), Deno.errors.NotFound);
  Deno.writeTextFileSync(directory.at("file"), "");
  await assertRejects(() => connectTo({ path: directory.at("file") }, signal), Deno.errors.ConnectionRefused);
});

Deno.test("connectTo() connects to a port", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const endpoint = { hostname: "127.0.0.1", port: listener.addr.port };
  const [connection, accepted] = await Promise.all([
    connectTo(endpoint, new AbortController().signal),
    listener.accept(),
  ]);
  assertEquals(connection.remoteAddr, listener.addr);
  connection.close();
  accepted.close();
});
