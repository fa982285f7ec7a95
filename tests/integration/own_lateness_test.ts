// A busy proxy blamed healthy backends: after its event loop had been held, limits passed before what had come
// meanwhile was looked at, and backends counted as down.

import { assertEquals, assertGreater } from "@std/assert";
import { configSchema } from "../../src/config/schema.ts";
import { CheckClients } from "../../src/health/check_clients.ts";
import { PROBES } from "../../src/health/probes.ts";
import { isReachable } from "../../src/engines/fetch/reachable.ts";
import { backendSpec } from "../support/pool.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { stall, STALLED_MS, stallOnRequest } from "../support/stalls.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { Memory } from "../../src/memory/memory.ts";

const STALLING_WORKER = new URL("../support/stalling_worker.ts", import.meta.url);
const PATIENT_BACKEND = new URL("../support/patient_backend_worker.ts", import.meta.url);

/** Less than a stall, and far more than a backend takes to answer on a busy machine. */
const LIMIT_MS = 900;

/** A backend that this isolate's stalls do not touch. */
class PatientBackend implements Disposable {
  readonly url: string;
  readonly #worker: Worker;

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<PatientBackend> {
    const worker = new Worker(PATIENT_BACKEND, { type: "module" });
    const port = await new Promise<number>((resolve) => worker.onmessage = ({ data }) => resolve(data));
    return new PatientBackend(worker, port);
  }

  /** Resolves when the next request has arrived. */
  asked(): Promise<void> {
    return new Promise((resolve) => this.#worker.onmessage = () => resolve());
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

async function statusOf(proxy: TestProxy, target: string): Promise<number | undefined> {
  using client = await RawClient.connect(proxy.port);
  await client.send(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return (await client.response())?.status;
}

for (const engine of ["fetch", "wire"] as const) {
  for (const workers of [1, 2]) {
    const settings = (url: string) => ({
      engine,
      proxy: { workers },
      backends: [url],
      timeouts: { connect: LIMIT_MS, response: LIMIT_MS },
      retries: { attempts: 0 },
    });

    Deno.test(`${engine}, ${workers} workers: an answer that came while the proxy was busy counts`, async () => {
      using backend = await PatientBackend.start();
      using _stalls = { [Symbol.dispose]: stallOnRequest() };
      await using proxy = await TestProxy.start(settings(backend.url), { workerUrl: STALLING_WORKER });
      assertEquals(await statusOf(proxy, "/stall?after=600"), 200);
      // Later than the limit, which starts anew when the proxy ran late by that much.
      assertEquals(await statusOf(proxy, `/stall?after=${STALLED_MS + 300}`), 200);
      const { alive, totalFailures } = proxy.backend(backend.url);
      assertEquals([alive, totalFailures], [true, 0]);
      await proxy.idle();
    });

    Deno.test(`${engine}, ${workers} workers: being busy excuses a backend once`, async () => {
      await using backend = new RawBackend((connection) => connection.toEnd());
      using _stalls = { [Symbol.dispose]: stallOnRequest() };
      await using proxy = await TestProxy.start(settings(backend.url), { workerUrl: STALLING_WORKER });
      const startedAt = performance.now();
      assertEquals(await statusOf(proxy, "/stall"), 504);
      assertGreater(performance.now() - startedAt, STALLED_MS);
      assertEquals(proxy.backend(backend.url).totalFailures, 1);
      await proxy.idle();
    });
  }
}

function backendAt(url: string) {
  return new ServerPool(Memory.allocate().pool(0)).add(backendSpec(url), "test");
}

Deno.test("a check that was answered while the proxy was busy passes, and a late one has its time anew", async () => {
  using backend = await PatientBackend.start();
  for (
    const health of [{ type: "http", path: "/?after=50" }, { type: "tcp" }, {
      type: "http",
      path: `/?after=${LIMIT_MS + 400}`,
    }]
  ) {
    const config = configSchema.parse({ health: { timeout: LIMIT_MS, ...health } }).health;
    if (config.type === "none") throw new Error("there is no such probe");
    const probe = PROBES[config.type](backendAt(backend.url), config, new CheckClients());
    const asked = health.type === "tcp" ? Promise.resolve() : backend.asked();
    const checking = probe.check(new AbortController().signal);
    await asked;
    stall(LIMIT_MS + 200);
    const { ok, error } = await checking;
    assertEquals([ok, error], [true, null], JSON.stringify(health));
    probe.close();
  }
});

Deno.test("isReachable() does not take its own lateness for a backend that is out of reach", async () => {
  using backend = await PatientBackend.start();
  const reachable = isReachable(backendAt(backend.url), 50);
  stall(200);
  assertEquals(await reachable, true);
});
