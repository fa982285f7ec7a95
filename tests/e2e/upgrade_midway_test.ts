// SIGUSR2 while other things happen: changes of the configuration, and as many clients as there may be.

import { assert, assertEquals } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { acceptWebSocket, webSocketHandshake } from "../support/raw_websocket.ts";
import { isAlive, Upgradable } from "../support/upgradable.ts";
import { waitFor } from "../support/wait.ts";

const PORTS = { proxy: { host: "127.0.0.1", port: 0 }, admin: { port: 0 } };
const COMMON = { engine: "wire", health: { path: null } };

/** The weight of the only backend, as the process that answers knows it. */
async function weightAt(adminUrl: string): Promise<number> {
  const { backends: [backend] } = await (await fetch(`${adminUrl}/status`)).json();
  return backend.weight;
}

Deno.test("a change that the admin API keeps during an upgrade is in force afterwards, too", async () => {
  // The new process had read the file before, and the change was lost until the next reload.
  await using backend = HttpBackend.named("served");
  using directory = new TemporaryDirectory();
  const settings = { ...COMMON, ...PORTS, backends: [backend.url], admin: { port: 0, persist: true } };
  const config = directory.write("config.json", JSON.stringify(settings));
  await using upgradable = await Upgradable.start(["-c", config]);
  const { adminUrl } = upgradable.program;
  const { backends: [{ id }] } = await (await fetch(`${adminUrl}/status`)).json();
  let weight = 1;
  upgradable.kill("SIGUSR2");
  await upgradable.program.logged("upgrade begun");
  while (upgradable.lines("ready").length < 2) {
    const body = JSON.stringify({ weight: weight + 1 });
    const headers = { "content-type": "application/json", connection: "close" };
    const answer = await fetch(`${adminUrl}/backends/${id}`, { method: "PATCH", body, headers });
    await answer.body?.cancel();
    if (answer.ok) weight++;
  }
  assert(weight > 1);
  await upgradable.program.logged("handed over");
  await waitFor(async () => await weightAt(adminUrl) === weight, { what: `weight ${weight} in the new process` });
  await upgradable.stop();
});

Deno.test("a reload during an upgrade reaches the new process", async () => {
  await using first = HttpBackend.named("first");
  await using last = HttpBackend.named("last");
  using directory = new TemporaryDirectory();
  const write = (backends: string[]) => {
    return directory.write("config.json", JSON.stringify({ ...COMMON, ...PORTS, backends }));
  };
  await using upgradable = await Upgradable.start(["-c", write([first.url])]);
  const { pid } = upgradable;
  upgradable.kill("SIGUSR2");
  // The log tells of the pool when the new process has read its file.
  await waitFor(() => upgradable.lines("backend added").length === 2, { what: "the pool of the new process" });
  write([last.url]);
  Deno.kill(pid, "SIGHUP");
  await upgradable.program.logged("handed over");
  await waitFor(async () => await (await fetch(upgradable.program.url)).text() === "last", { what: "the new file" });
  await upgradable.stop();
});

for (const workers of [1, 2]) {
  Deno.test(`clients that wait for room at an upgrade are answered, and the old process ends, with ${workers} workers`, async () => {
    // They waited for ever, and so did the old process, if WebSockets took all the room.
    await using backend = new RawBackend(async (connection) => {
      await connection.until("\r\n\r\n");
      if (!connection.received.includes("websocket")) {
        return await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
      }
      await acceptWebSocket(connection);
      await connection.toEnd();
    });
    using directory = new TemporaryDirectory();
    const proxy = { ...PORTS.proxy, maxConnections: workers, workers };
    const settings = { ...COMMON, ...PORTS, proxy, backends: [backend.url], timeouts: { shutdown: "1s" } };
    const config = directory.write("config.json", JSON.stringify(settings));
    await using upgradable = await Upgradable.start(["-c", config]);
    const { pid } = upgradable;
    const port = Number(new URL(upgradable.program.url).port);
    using clients = new DisposableStack();
    // With two workers, the kernel decides who gets which client: most of these wait.
    for (let count = 0; count < 6 * workers; count++) {
      const client = clients.use(await RawClient.connect(port));
      await client.send(webSocketHandshake());
    }
    await waitFor(() => backend.connections.length >= workers, { what: "the first WebSockets" });
    await upgradable.upgrade();
    await waitFor(() => !isAlive(pid), { what: "the end of the old process" });
    clients.dispose();
    using after = await RawClient.connect(port);
    assertEquals((await after.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))?.status, 200);
    await upgradable.stop();
  });
}
