/** A proxy whose guards let nobody in, and what clients may send in the hope to get around them. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ConfigFile } from "../../src/config/schema.ts";
import { looseName } from "../../src/http1/loose_name.ts";
import { looseForm, plainForm } from "../../src/http1/path_form.ts";
import { TestProxy } from "./proxy.ts";
import { RawClient } from "./raw_client.ts";
import { echoOf, RecordingBackend, type SeenRequest } from "./raw_recorder.ts";
import { waitFor } from "./wait.ts";

/** What the guards keep, by the first segment of the path. */
const KEPT = ["deny", "allow", "rate", "full", "basic", "asked"] as const;

/** A segment as it is, and in spellings that some server reads as it. */
const kept = fc.constantFrom(...KEPT).chain((name) =>
  fc.constantFrom(
    name,
    `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`,
    `${name.slice(0, -1)}%${name.charCodeAt(name.length - 1).toString(16).toUpperCase()}`,
    `${name};x=1`,
    `..%2f${name}`,
    `a%2f..%2f${name}`,
    `.%5c${name}`,
    `..\\${name}`,
    `${name}%00`,
  )
);
const other = fc.constantFrom(..."a . .. ..; ;x %2e %2e%2e %2f %5c ?x #y %".split(" "), "");

export const hostilePaths = fc.tuple(fc.array(other, { maxLength: 3 }), kept, fc.array(other, { maxLength: 2 }))
  .map(([before, segment, after]) => `/${[...before, segment, ...after].join("/")}`);

/** Headers that would let a client in if anybody believed them. */
export const hostileHeaders = fc.array(
  fc.tuple(
    fc.constantFrom(
      ...["X-Forwarded-For", "X_Forwarded_For", "x-forwarded_for", "X-Real-IP", "X_Real_IP", "X-Client-IP"],
      ...["Forwarded", "X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "X_Original_URL", "Client-Cert"],
      ...["X-HTTP-Method-Override", "X-Forwarded-Prefix", "Cookie", "Authorization", "Proxy-Authorization"],
      ...["X-User", "x_user", "X.User", "X-Forwarded-Method", "X_Forwarded_Uri"],
    ),
    fc.constantFrom("192.0.2.1", "for=192.0.2.1", "192.0.2.1, 127.0.0.1", "/", "GET", "OPTIONS", "a=b", "root"),
  ),
  { maxLength: 3 },
);

export const hostileMethods = fc.constantFrom("GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE", "get");

/** Of a password that nobody knows. */
const HASH = "$scrypt$ln=14,r=8,p=5$0TcbFlS0mnX1G9QRCqGKPA$H3MhYzAFfenKGn3HrjOtt2XvY6maP+sjW6m9nfvbPcU";

/** Lets nobody in where it is asked at `/kept`. It knows nobody's name. */
function decide({ target }: SeenRequest): string {
  return target === "/kept" ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" : "HTTP/1.1 204 No Content\r\n\r\n";
}

/** The guard that a path is below, however a backend reads it. */
function guardOf(target: string): string | undefined {
  const [sent = ""] = target.split(/[?#]/);
  const readings = [sent, plainForm(sent), looseForm(sent)];
  return KEPT.find((name) => readings.some((reading) => reading === `/${name}` || reading.startsWith(`/${name}/`)));
}

/** Dispose of it to stop it, which also proves that nothing is left in flight. */
export class GuardedRoutes implements AsyncDisposable {
  readonly backend: RecordingBackend;
  readonly proxy: TestProxy;
  readonly #server: RecordingBackend;
  readonly #gate: PromiseWithResolvers<void>;
  readonly #held: () => Promise<void>;

  private constructor(
    proxy: TestProxy,
    [backend, server]: readonly [RecordingBackend, RecordingBackend],
    gate: PromiseWithResolvers<void>,
    held: () => Promise<void>,
  ) {
    this.proxy = proxy;
    this.backend = backend;
    this.#server = server;
    this.#gate = gate;
    this.#held = held;
  }

  /** @param settings of the engine and of the port */
  static async start(settings: Pick<ConfigFile, "engine" | "proxy">, fill: Fill = fillByHttp1): Promise<GuardedRoutes> {
    const gate = Promise.withResolvers<void>();
    const backend = new RecordingBackend(async (request) => {
      if (request.target === "/full/first") await gate.promise;
      return echoOf(request);
    });
    const server = new RecordingBackend(decide);
    const proxy = await TestProxy.start({
      ...settings,
      backends: [backend.url],
      routes: {
        "*/*": { pool: "default", auth: { forward: server.url, copy: ["X-User"] } },
        "*/deny/*": { pool: "default", deny: ["127.0.0.0/8"] },
        "*/allow/*": { pool: "default", allow: ["192.0.2.1"] },
        "*/rate/*": { pool: "default", rateLimit: { requests: 1, per: "24h" } },
        "*/full/*": { pool: "default", concurrency: 1 },
        "*/basic/*": { pool: "default", auth: { basic: { users: { ada: HASH } } } },
        "*/asked/*": { pool: "default", auth: { forward: `${server.url}/kept`, copy: ["X-User"] } },
      },
    });
    const held = await fill(proxy.port);
    await waitFor(() => backend.requests.length === 2, { what: "the requests that fill both limits" });
    return new GuardedRoutes(proxy, [backend, server], gate, held);
  }

  /** Fails if one of the requests since then has got around a guard, or has a name that its client gave it. */
  mustHaveKept(since: number, what: string): void {
    const requests = this.backend.requests.slice(since);
    const reached = requests.map(({ target }) => [target, guardOf(target)]);
    assertEquals(reached.filter(([, guard]) => guard !== undefined), [], what);
    const lines = requests.flatMap(({ headers, trailers }) => [...headers, ...trailers]);
    assertEquals(lines.filter(([name]) => looseName(name) === "x-user"), [], what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gate.resolve();
    await this.#held();
    await this.proxy.idle();
    assertEquals(this.proxy.roundhouse.memory.limits.concurrency("*/full/*").current, 0);
    assertEquals(this.backend.violations, []);
    await this.proxy[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

/** Sends `GET /rate/first` and `GET /full/first`, which fill both limits. What it returns waits for the second answer. */
export type Fill = (port: number) => Promise<() => Promise<void>>;

async function fillByHttp1(port: number): Promise<() => Promise<void>> {
  const client = await RawClient.connect(port);
  assertEquals((await client.request("GET /rate/first HTTP/1.1\r\nHost: x\r\n\r\n"))?.status, 200);
  await client.send("GET /full/first HTTP/1.1\r\nHost: x\r\n\r\n");
  return async () => {
    assertEquals((await client.response())?.status, 200);
    client.close();
  };
}
