// What counts requests agrees: /metrics, /status, the access log, the backends and the clients, to the last one.

import { assert, assertEquals } from "@std/assert";
import type { Config } from "../../src/config/schema.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { type LogEntry, Program } from "../support/program.ts";
import { type Scrape, scrape } from "../support/prometheus.ts";
import { refusedUrl } from "../support/raw_backend.ts";
import { headerOf, RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

// Another engine, or more workers, joins with a line.
const VARIANTS: readonly { readonly engine: Config["engine"]; readonly workers: number }[] = [
  { engine: "fetch", workers: 1 },
  { engine: "fetch", workers: 2 },
  { engine: "wire", workers: 1 },
  { engine: "wire", workers: 2 },
];

/** Some 200 of each kind: what goes wrong with one of a hundred shows. */
const REQUESTS = 3_000;
const CLIENTS = 16;
const WEBSOCKETS = 20;
const LEAVERS = 20;

/** One of each kind in turn. */
const KINDS = [
  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET /status/404 HTTP/1.1\r\nHost: x\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world",
  "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET /status/500 HTTP/1.1\r\nHost: x\r\n\r\n",
  "PUT /echo?token=s3cret HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
  "GET /status/304 HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET /status/503 HTTP/1.1\r\nHost: x\r\n\r\n", // tried on every backend: 502 where the last can't be reached
  "GET / HTTP/1.1\r\n\r\n", // 400
  "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", // 405
  "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
  `POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n${"x".repeat(2000)}`, // 413
  "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
];

/** A backend that does as the path says. */
function obedientBackend(held: () => void): HttpBackend {
  const large = new Uint8Array(200_000);
  return new HttpBackend(async (request) => {
    if (request.headers.has("upgrade")) {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    }
    const path = new URL(request.url).pathname;
    if (path === "/hold") {
      held();
      await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
    }
    if (path === "/echo") return new Response(await request.text());
    if (path === "/large") return new Response(large);
    const status = Number(/^\/status\/(\d+)$/.exec(path)?.[1] ?? 200);
    return new Response(status === 304 ? null : "ok", { status });
  });
}

/** Sends the requests one after the other, on one connection as long as it is kept; returns the statuses. */
async function drive(port: number, requests: readonly string[]): Promise<number[]> {
  const statuses = [];
  let client: RawClient | undefined;
  for (const request of requests) {
    client ??= await RawClient.connect(port);
    const response = await client.request(request);
    assert(response?.complete, `no whole answer to ${request}`);
    statuses.push(response.status);
    if (headerOf(response, "connection")?.toLowerCase() !== "close") continue;
    client.close();
    client = undefined;
  }
  client?.close();
  return statuses;
}

async function sendMessage(url: string): Promise<void> {
  const socket = new WebSocket(url.replace("http", "ws"));
  const closed = new Promise((resolve) => socket.onclose = resolve);
  await new Promise((resolve) => socket.onopen = resolve);
  const answer = new Promise((resolve) => socket.onmessage = resolve);
  socket.send("hello");
  await answer;
  socket.close();
  await closed;
}

/** Asks for what never comes, and leaves once the backend has the request. */
async function leave(port: number, held: () => Promise<void>): Promise<void> {
  const client = await RawClient.connect(port);
  const arrived = held();
  await client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  await arrived;
  client.close();
}

/** How many there are of each. */
function tally(keys: Iterable<string>): Record<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return Object.fromEntries([...counts].sort());
}

const classOf = (status: unknown) => `${String(status)[0]}xx`;

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);

/** The samples of a counter that are not 0, by the named labels. */
function shown(metrics: Scrape, name: string, labels: readonly string[]): Record<string, number> {
  const samples = metrics.families.get(name)?.samples.filter(({ value }) => value > 0) ?? [];
  return Object.fromEntries(
    samples.map((sample) => [labels.map((label) => sample.labels[label]).join(" "), sample.value] as const).sort(),
  );
}

for (const { engine, workers } of VARIANTS) {
  Deno.test(`${REQUESTS} mixed requests come to the same in every count: engine ${engine}, workers ${workers}`, async () => {
    let arrived = Promise.withResolvers<void>();
    const held = () => arrived.resolve();
    await using one = obedientBackend(held);
    await using two = obedientBackend(held);
    const refused = refusedUrl();
    await using directory = {
      path: await Deno.makeTempDir(),
      [Symbol.asyncDispose]: () => Deno.remove(directory.path, { recursive: true }),
    };
    const path = `${directory.path}/config.json`;
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        proxy: { host: "127.0.0.1", port: 0, maxBodySize: 1000 },
        admin: { port: 0 },
        backends: [one.url, two.url, refused],
        health: { type: "none" },
        passive: { connectFailures: 0 },
        retries: { budget: 1, statuses: [503] },
        log: { access: true },
      }),
    );
    await using program = await Program.start(["-c", path, "--engine", engine, "--workers", String(workers)]);
    const port = Number(new URL(program.url).port);
    const status = async () => await (await fetch(`${program.adminUrl}/status`)).json();

    const requests = Array.from(
      { length: REQUESTS - WEBSOCKETS - LEAVERS },
      (_, index) => KINDS[index % KINDS.length] ?? "",
    );
    const shares = Array.from(
      { length: CLIENTS },
      (_, client) => requests.filter((_, index) => index % CLIENTS === client),
    );
    const statuses = (await Promise.all(shares.map((share) => drive(port, share)))).flat();
    for (let count = 0; count < WEBSOCKETS; count++) await sendMessage(program.url);
    for (let count = 0; count < LEAVERS; count++) {
      arrived = Promise.withResolvers();
      await leave(port, () => arrived.promise);
    }
    const lines = (): LogEntry[] => program.log.filter(({ message }) => message === "request");
    await waitFor(async () => (await status()).requests.active === 0 && lines().length === REQUESTS, {
      what: `${REQUESTS} requests to have ended`,
    });

    const { requests: totals, backends } = await status();
    const metrics = await scrape(program.adminUrl);
    const log = lines();
    // The clients and the access log, by class of status.
    const seen = [...statuses.map(classOf), ...Array(WEBSOCKETS).fill("1xx"), ...Array(LEAVERS).fill("4xx")];
    assertEquals(tally(log.map((line) => classOf(line.status))), tally(seen));
    // The access log and /metrics, by backend and class.
    const answers = tally(log.map((line) => `${line.backend ?? "none"} ${classOf(line.status)}`));
    assertEquals(shown(metrics, "roundhouse_requests_total", ["backend", "code"]), answers);
    assertEquals(
      shown(metrics, "roundhouse_errors_total", ["reason"]),
      tally(log.flatMap(({ error }) => error ? [String(error)] : [])),
    );
    assertEquals(metrics.sum("roundhouse_request_duration_seconds_count"), REQUESTS - WEBSOCKETS);
    for (const backend of [one.url, two.url, "none"]) {
      const bytes = log.filter((line) => (line.backend ?? "none") === backend).map(({ bytesIn }) => Number(bytesIn));
      assertEquals(metrics.sum("roundhouse_request_body_bytes_total", { backend }), total(bytes), backend);
    }
    // All three, as a whole.
    const failed = log.filter((line) => line.backend === null && Number(line.status) >= 500).length;
    const attempts = total(log.map((line) => Number(line.attempts)));
    const retried = total(log.map((line) => Math.max(Number(line.attempts) - 1, 0)));
    assertEquals(totals, { total: REQUESTS, active: 0, failed, retried, queued: 0 });
    assertEquals(metrics.sum("roundhouse_requests_received_total"), REQUESTS);
    assertEquals(metrics.sum("roundhouse_requests_failed_total"), failed);
    assertEquals([metrics.sum("roundhouse_retries_total"), metrics.sum("roundhouse_requests_in_flight")], [retried, 0]);
    assertEquals(metrics.sum("roundhouse_backend_attempts_total"), attempts);
    // The backends' own counts: each attempt reached the one that it was counted for, and no other.
    for (const { url, totalRequests, totalFailures, currentConnections } of backends) {
      assertEquals(metrics.values("roundhouse_backend_attempts_total", { backend: url }), [totalRequests], url);
      assertEquals(metrics.values("roundhouse_backend_failures_total", { backend: url }), [totalFailures], url);
      assertEquals(
        [currentConnections, ...metrics.values("roundhouse_backend_current_connections", { backend: url })],
        [0, 0],
      );
      const own = url === one.url ? one.requests : url === two.url ? two.requests : 0;
      assertEquals([totalRequests - totalFailures, totalFailures > 0], [own, url === refused], url);
    }
    // Every kind of end was among them.
    assert(failed > 0 && retried > REQUESTS / 10, `${failed} failed, ${retried} retried`);
    assertEquals(Object.keys(tally(seen)), ["1xx", "2xx", "3xx", "4xx", "5xx"]);
    assert(!JSON.stringify(program.log).includes("s3cret"));
  });
}
