// SIGUSR2: the program starts itself anew, and hands its sockets over.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { settlesWithin } from "../../src/settles_within.ts";
import { TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { NotifyListener } from "../support/notify_listener.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { isAlive, Upgradable } from "../support/upgradable.ts";
import { waitFor } from "../support/wait.ts";

const ANY_PORTS = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--health", "none"];

/** More by hand: ROUNDHOUSE_TEST_UPGRADES=5 ROUNDHOUSE_TEST_CONNECTIONS=10000. */
const UPGRADES = Number(Deno.env.get("ROUNDHOUSE_TEST_UPGRADES") ?? 2);
const CONNECTIONS = Number(Deno.env.get("ROUNDHOUSE_TEST_CONNECTIONS") ?? 400);
const CLIENTS = 8;

/** Asks until `isOver`, and collects what went wrong. */
class Asking {
  answers = 0;
  readonly failures: string[] = [];
  readonly done: Promise<void>;

  constructor(ask: () => Promise<string | undefined>, isOver: (answers: number) => boolean) {
    this.done = this.#run(ask, isOver);
  }

  async #run(ask: () => Promise<string | undefined>, isOver: (answers: number) => boolean): Promise<void> {
    while (!isOver(this.answers) && this.failures.length < 10) {
      const failure = await inTime(ask()).catch(String);
      if (failure === undefined) this.answers++;
      else this.failures.push(failure);
    }
  }
}

async function inTime(answer: Promise<string | undefined>): Promise<string | undefined> {
  return await settlesWithin(answer, 10_000) ? await answer : `no answer in 10 s at ${new Date().toISOString()}`;
}

/** Makes a connection, and asks once. */
async function askOnce(port: number, target: string): Promise<string | undefined> {
  using client = await RawClient.connect(port);
  const answer = await client.request(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  return answer?.status === 200 ? undefined : `${target}: ${answer?.status}`;
}

/** Asks on one connection for as long as it is kept, then on another one. */
class KeptConnection implements Disposable {
  readonly #port: number;
  #client: RawClient | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  async ask(): Promise<string | undefined> {
    const client = this.#client ??= await RawClient.connect(this.#port);
    const answer = await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if (answer === undefined || headerOf(answer, "connection") === "close") this[Symbol.dispose]();
    return answer?.status === 200 ? undefined : `on a kept connection: ${answer?.status}`;
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]();
    this.#client = undefined;
  }
}

for (const workers of [1, 2]) {
  Deno.test(`no request fails over ${UPGRADES} upgrades, with ${workers} workers, nor is /readyz away`, async () => {
    // Each upgrade was a gap of a second, in which clients were refused.
    await using backend = HttpBackend.named("served");
    const args = ["-b", backend.url, "--engine", "wire", "--workers", String(workers), ...ANY_PORTS];
    await using upgradable = await Upgradable.start(args);
    const port = Number(new URL(upgradable.program.url).port);
    const adminPort = Number(new URL(upgradable.program.adminUrl).port);
    let isOver = false;
    const clients = Array.from({ length: CLIENTS }, () => {
      return new Asking(() => askOnce(port, "/"), (answers) => isOver && answers >= CONNECTIONS / CLIENTS);
    });
    using kept = new KeptConnection(port);
    const others = [
      new Asking(() => kept.ask(), () => isOver),
      new Asking(() => askOnce(adminPort, "/readyz"), () => isOver),
    ];
    const all = [...clients, ...others];
    const failures = () => all.flatMap(({ failures }) => failures);
    const pids = new Set([upgradable.pid]);
    for (let upgrade = 0; upgrade < UPGRADES; upgrade++) {
      const before = clients[0]?.answers ?? 0;
      await waitFor(() => (clients[0]?.answers ?? 0) > before || failures().length > 0, { what: "requests" });
      await upgradable.upgrade();
      pids.add(upgradable.pid);
    }
    isOver = true;
    await Promise.all(all.map(({ done }) => done));
    assertEquals(
      failures(),
      [],
      JSON.stringify(upgradable.program.log.map(({ time, message, pid, reason }) => [time, message, pid, reason])),
    );
    assertEquals(pids.size, UPGRADES + 1);
    const total = clients.reduce((sum, { answers }) => sum + answers, 0);
    assert(total >= CONNECTIONS && others.every(({ answers }) => answers > 10), `${total} connections`);
    const [first] = pids;
    await waitFor(() => !isAlive(first ?? 0), { what: "the end of the first process" });
    assertEquals((await upgradable.program.status).code, 0);
    await upgradable.stop();
    assertEquals(upgradable.program.log.filter(({ level }) => ["warn", "error", "stderr"].includes(level)), []);
  });
}

Deno.test("a request that is in flight at an upgrade gets its answer from the old process", async () => {
  const holding = Promise.withResolvers<void>();
  await using backend = new HttpBackend(async () => {
    await holding.promise;
    return new Response("late");
  });
  await using upgradable = await Upgradable.start(["-b", backend.url, "--engine", "wire", ...ANY_PORTS]);
  using client = await RawClient.connect(Number(new URL(upgradable.program.url).port));
  const answer = client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const old = upgradable.pid;
  await waitFor(() => backend.requests === 1, { what: "the request" });
  await upgradable.upgrade();
  assert(isAlive(old));
  holding.resolve();
  const late = await answer;
  assert(late !== undefined);
  assertEquals([textOf(late), headerOf(late, "connection")], ["late", "close"]);
  await waitFor(() => !isAlive(old), { what: "the end of the old process" });
});

Deno.test("if the new process fails, the old one goes on and says why; two signals make one upgrade", async () => {
  await using backend = HttpBackend.named("served");
  using directory = new TemporaryDirectory();
  const good = JSON.stringify({ backends: [backend.url], engine: "wire", health: { path: null } });
  const config = directory.write("config.json", good);
  const ports = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
  await using upgradable = await Upgradable.start(["-c", config, ...ports]);
  const { pid } = upgradable;
  directory.write("config.json", '{ "backends": 5 }');
  upgradable.kill("SIGUSR2");
  const { reason } = await upgradable.program.logged("upgrade failed");
  assertStringIncludes(String(reason), "the new process ended with status 1: backends");
  assertEquals(await (await fetch(upgradable.program.url)).text(), "served");

  directory.write("config.json", good);
  upgradable.kill("SIGUSR2");
  await waitFor(() => upgradable.lines("upgrade begun").length === 2, { what: "the next upgrade" });
  upgradable.kill("SIGUSR2");
  await upgradable.program.logged("upgrade not begun", { reason: "another one is under way" });
  await upgradable.program.logged("handed over");
  assert(upgradable.pid !== pid);
  assertEquals(await (await fetch(upgradable.program.url)).text(), "served");
  await upgradable.stop();
});

Deno.test("SIGTERM during an upgrade stops the old process and the new one", async () => {
  await using upgradable = await Upgradable.start(["-b", "http://127.0.0.1:1999", "--engine", "wire", ...ANY_PORTS]);
  upgradable.kill("SIGUSR2");
  const { pid } = await upgradable.program.logged("upgrade begun");
  upgradable.program.kill("SIGTERM");
  assertEquals((await upgradable.program.status).code, 0);
  await waitFor(() => !isAlive(Number(pid)), { what: "the end of the new process" });
});

Deno.test("a service manager hears which process it has to watch", async () => {
  await using manager = new NotifyListener();
  const env = { NOTIFY_SOCKET: manager.name, WATCHDOG_USEC: "100000" };
  const args = ["-b", "http://127.0.0.1:1999", "--engine", "wire", ...ANY_PORTS];
  await using upgradable = await Upgradable.start(args, { env });
  await upgradable.upgrade();
  await manager.heard("MAINPID", String(upgradable.pid));
  assertEquals((await upgradable.program.status).code, 0);
  assertEquals(manager.with("STOPPING"), []); // the service goes on
  const beats = manager.with("WATCHDOG").length;
  await waitFor(() => manager.with("WATCHDOG").length > beats + 1, { what: "the watchdog of the new process" });
  await upgradable.stop();
  await manager.heard("STOPPING", "1");
});

const AT_SOCKET = ["--host", `unix:/tmp/upgrade-${Deno.pid}.sock`, "--admin-port", "0", "--health", "none"];

const OBSTACLES: readonly [string, readonly string[], Record<string, unknown>, string][] = [
  ["engine fetch", ["--engine", "fetch", ...ANY_PORTS], {}, "engine fetch can't hand its socket over"],
  ["a unix socket", ["--engine", "wire", "--workers", "1", ...AT_SOCKET], {}, "a unix socket can't be handed over"],
];

for (const [name, args, options, reason] of OBSTACLES) {
  Deno.test(`SIGUSR2 changes nothing with ${name}, and the log says why`, async () => {
    const all = ["-b", "http://127.0.0.1:1999", ...args];
    await using upgradable = await Upgradable.start(all, options);
    upgradable.kill("SIGUSR2");
    await upgradable.program.logged("upgrade failed", { reason });
    assertEquals(await (await fetch(`${upgradable.program.adminUrl}/healthz`)).json(), { status: "ok" });
    await upgradable.stop();
  });
}
