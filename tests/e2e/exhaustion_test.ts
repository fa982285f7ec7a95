// The program when the system has no more to give it.

import { assert, assertEquals } from "@std/assert";
import { get, within } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw_client.ts";
import { webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";

const OPEN_FILES = 80;

/** By its name, too: what can't look a name up says that there is no such name. */
const HOSTS = ["127.0.0.1", "localhost"];

/** A program that may not open many files, with one backend. */
async function start(engine: string, backend: string, health: object, proxy: object = {}): Promise<Program> {
  const directory = Deno.makeTempDirSync();
  const config = `${directory}/config.json`;
  const settings = { health, proxy: { host: "127.0.0.1", port: 0, ...proxy }, admin: { port: 0 }, backends: [backend] };
  Deno.writeTextFileSync(config, JSON.stringify(settings));
  try {
    return await Program.start(["--config", config, "--engine", engine], { openFiles: OPEN_FILES });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function isSocket(descriptor: string): boolean {
  try {
    return Deno.readLinkSync(descriptor).startsWith("socket:");
  } catch {
    return false; // closed in the meantime
  }
}

/** The status of the answer to the first of these clients that gets one. */
async function firstStatus(clients: readonly RawClient[], request: string): Promise<number> {
  const asked = clients.map(async (client) => {
    const response = await client.request(request);
    return response ?? Promise.reject(new Error("closed"));
  });
  return (await within(Promise.any(asked), "an answer")).status;
}

/** Waits until requests are served, and looks at what the backend was blamed for. */
async function goesOnUnblamed(program: Program): Promise<void> {
  const served = () => fetch(program.url).then(async (response) => await response.text() === "served", () => false);
  await waitFor(served, { what: "a request to be served" });
  const { backends: [backend] } = await (await fetch(`${program.adminUrl}/status`)).json();
  assertEquals([backend.alive, backend.totalFailures], [true, 0]);
  assertEquals(program.log.filter(({ message }) => message === "backend down"), []);
}

for (const host of HOSTS) {
  Deno.test(`engine wire without file descriptors: neither requests nor checks blame the backend ${host}, and with descriptors all goes on`, async () => {
    // A proxy that ran into its limit of open files took every backend out, which had nothing to do with it.
    await using backend = new HttpBackend(() => new Response("served"), 0, "127.0.0.1");
    const checks = { interval: "50ms", unhealthyThreshold: 1 };
    await using program = await start("wire", backend.url.replace("127.0.0.1", host), checks);
    const port = Number(new URL(program.url).port);
    const clients = await Promise.all(Array.from({ length: 1.5 * OPEN_FILES }, () => RawClient.connect(port)));
    await program.logged("connection not accepted");
    await program.logged("check could not be made");
    // Some of them were let in; none of these gets through to a backend now.
    assertEquals(await firstStatus(clients, get("/")), 500);
    for (const client of clients) client.close();
    await goesOnUnblamed(program);
  });
}

Deno.test({
  name: "engine fetch without file descriptors: the backend is not blamed, and with descriptors all goes on",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // As above; a WebSocket's handshake that found no descriptor even counted as a lost connection.
    const held = Promise.withResolvers<void>();
    await using backend = new HttpBackend(async (request) => {
      if (request.url.endsWith("/held")) await held.promise;
      return new Response("served");
    });
    await using program = await start("fetch", backend.url, { type: "none" });
    const port = Number(new URL(program.url).port);
    const folder = `/proc/${program.pid}/fd`;
    // Less inherited ones with a number that is above the limit: those take no place.
    const descriptors = () => [...Deno.readDirSync(folder)].filter(({ name }) => Number(name) < OPEN_FILES);
    const openFiles = () => descriptors().length;
    // The runtime opens files of its own now and then, but no sockets.
    const sockets = () => descriptors().filter(({ name }) => isSocket(`${folder}/${name}`)).length;
    const clients: RawClient[] = [];
    const takeAllBut = async (spare: number) => {
      while (openFiles() < OPEN_FILES - spare) {
        const before = sockets();
        clients.push(await RawClient.connect(port));
        await waitFor(() => sockets() > before, { what: "the connection to be accepted" });
      }
    };
    // The last one goes to a connection to the backend.
    await takeAllBut(1);
    await clients[0]?.send(get("/held"));
    await waitFor(() => backend.requests === 1, { what: "the request in flight" });
    await takeAllBut(0);
    assertEquals(await firstStatus(clients.slice(1, 2), get("/")), 500);
    assertEquals(await firstStatus(clients.slice(2, 3), webSocketHandshake()), 500);
    held.resolve();
    assertEquals((await within(clients[0]?.response() ?? Promise.resolve(undefined), "an answer"))?.status, 200);
    for (const client of clients) client.close();
    await waitFor(() => openFiles() < OPEN_FILES / 2, { what: "the connections to be closed" });
    await goesOnUnblamed(program);
  },
});

Deno.test("engine fetch without file descriptors for clients: requests in flight are answered, and with descriptors all goes on", async () => {
  // `Deno.serve` ends when it can't accept: nobody looked after that, and the whole program ended.
  const held = Promise.withResolvers<void>();
  await using backend = new HttpBackend(async (request) => {
    if (request.url.endsWith("/held")) await held.promise;
    return new Response("served");
  });
  await using program = await start("fetch", backend.url, { type: "none" });
  const refusals = () => program.log.filter(({ message }) => message === "connection not accepted").length;
  using waiting = await RawClient.connect(Number(new URL(program.url).port));
  await waiting.send(get("/held"));
  await waitFor(() => backend.requests === 1, { what: "the request in flight" });
  for (const url of [program.url, program.adminUrl]) {
    const before = refusals();
    const port = Number(new URL(url).port);
    const crowd = await Promise.allSettled(Array.from({ length: 1.5 * OPEN_FILES }, () => RawClient.connect(port)));
    await waitFor(() => refusals() > before, { what: "a client that is not let in" });
    for (const client of crowd) client.status === "fulfilled" && client.value.close();
  }
  held.resolve();
  assertEquals((await within(waiting.response(), "the answer"))?.status, 200);
  await waitFor(
    () => fetch(`${program.adminUrl}/healthz`).then(async (response) => await response.text() !== "", () => false),
    {
      what: "the admin API",
    },
  );
  await goesOnUnblamed(program);
});

for (
  const { door, engine, secure = false, workers = 1 } of [
    { door: "wire", engine: "wire" },
    { door: "wire over TLS", engine: "wire", secure: true },
    { door: "wire over TLS with two workers", engine: "wire", secure: true, workers: 2 },
    { door: "fetch", engine: "fetch" },
    { door: "fetch with two workers", engine: "fetch", workers: 2 },
  ]
) {
  Deno.test(`/readyz is 503 while file descriptors are missing, and then clients are served again: ${door}`, async () => {
    // Over TLS the listener never accepted again, while /readyz said 200 and the log nothing.
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const tls = secure ? directory.writePair(await makePair({ authority })) : null;
    await using backend = HttpBackend.named("served");
    await using program = await start(engine, backend.url, { type: "none" }, { tls, workers });
    const port = Number(new URL(program.url).port);
    using admin = await RawClient.connect(Number(new URL(program.adminUrl).port));
    const ready = get("/readyz").replace("Host: x", "Host: 127.0.0.1");
    const readiness = async () => (await within(admin.request(ready), "the admin API"))?.status;
    assertEquals(await readiness(), 200);
    // A listener that is opened anew resets those that waited at the one before.
    const idle = (await Promise.allSettled(Array.from({ length: 2 * OPEN_FILES }, () => RawClient.connect(port))))
      .flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
    await waitFor(async () => await readiness() === 503, { what: "/readyz to be 503" });
    await program.logged("connection not accepted");
    for (const client of idle) client.close();
    await waitFor(async () => await readiness() === 200, { what: "/readyz to be 200", timeoutMs: 15_000 });
    for (let round = 0; round < 4; round++) { // either worker
      using client = secure ? await RawClient.connectTls(port, authority) : await RawClient.connect(port);
      const response = await within(client.request(get("/", "Connection: close\r\n")), "an answer");
      assertEquals(response?.status, 200);
    }
    const lines = program.log.filter(({ message }) => message === "connection not accepted").length;
    assert(lines < 30, `${lines} log lines`);
  });
}
