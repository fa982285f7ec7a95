// Random exchanges through both engines: backend and client see the same, but for what `fetch` may alter.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { answered } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, type RawResponse } from "../support/raw_client.ts";
import { RecordingBackend, type SeenRequest } from "../support/raw_recorder.ts";

type Pair = readonly [name: string, value: string];

interface Case {
  readonly method: string;
  readonly target: string;
  readonly version: 0 | 1;
  readonly requestHeaders: readonly Pair[];
  /** `undefined`: there is none. */
  readonly requestBody: string | undefined;
  readonly requestChunked: boolean;
  readonly status: number;
  readonly responseHeaders: readonly Pair[];
  readonly responseBody: string;
  readonly responseFraming: "length" | "chunked" | "close";
  /** Whether 103 comes before the answer. */
  readonly hints: boolean;
}

const NAMES = ["X-One", "x-two", "X-THREE", "Cookie", "Accept", "If-None-Match", "Range", "Content-Type", "Via"];
const HOP_BY_HOP = ["Keep-Alive", "Proxy-Connection", "TE", "Connection", "X-Forwarded-For", "Forwarded", "X-Real-IP"];
const RESPONSE_NAMES = [
  "X-One",
  "x-two",
  "Set-Cookie",
  "ETag",
  "Vary",
  "Cache-Control",
  "Location",
  "Keep-Alive",
  "Server",
];

const value = fc.stringMatching(/^[!-~]([ -~]{0,12}[!-~])?$/).filter((text) => !text.includes(","));
const connectionValue = fc.constantFrom("keep-alive", "X-One", "x-two, keep-alive", "close, x-three");
const requestHeader: fc.Arbitrary<Pair> = fc.oneof(
  fc.tuple(fc.constantFrom(...NAMES), value),
  fc.constantFrom(...HOP_BY_HOP).chain((name) =>
    fc.tuple(
      fc.constant(name),
      name === "Connection" ? connectionValue : name === "TE" ? fc.constantFrom("trailers", "gzip") : value,
    )
  ),
);
const responseHeader: fc.Arbitrary<Pair> = fc.tuple(fc.constantFrom(...RESPONSE_NAMES), value);
// What the URL standard leaves alone: the rest is among the differences. So is `/*`, which the runtime says for `*` too.
const target = fc.stringMatching(/^\/([a-z0-9~!$&()*+;=:@_-]{1,5}(\/|%2[05F])?){0,4}(\?[a-z0-9=&+%?/]{0,10})?$/)
  .filter((text) => !text.includes("//") && text !== "/*" && !/%(?![0-9A-F]{2})/i.test(text));
const body = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.integer({ min: 1, max: 100_000 }).map((length) => "b".repeat(length)),
);

const exchange: fc.Arbitrary<Case> = fc.record({
  method: fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"),
  target,
  version: fc.constantFrom(1, 1, 1, 0),
  requestHeaders: fc.array(requestHeader, { maxLength: 8 }),
  requestBody: fc.option(body, { nil: undefined }),
  requestChunked: fc.boolean(),
  status: fc.constantFrom(200, 201, 203, 204, 206, 226, 301, 304, 307, 400, 404, 410, 418, 500, 503, 599),
  responseHeaders: fc.array(responseHeader, { maxLength: 8 }),
  responseBody: body,
  responseFraming: fc.constantFrom("length", "length", "chunked", "close"),
  hints: fc.boolean(),
}).map((given) => {
  // `fetch` can't send a body with GET and HEAD; what a body does to OPTIONS is not for it to say either.
  const bodyless = ["GET", "HEAD", "OPTIONS"].includes(given.method);
  return {
    ...given,
    requestBody: bodyless ? undefined : given.requestBody,
    // Two of them arrive as one that says more than `trailers`, where repeated headers are joined.
    requestHeaders: given.requestHeaders.filter(([name], at, all) =>
      name !== "TE" || all.findIndex((other) => other[0] === "TE") === at
    ),
    requestChunked: given.requestChunked && given.version === 1,
  };
});

const byteLength = (text: string) => new TextEncoder().encode(text).length;
const chunked = (text: string) =>
  text === "" ? "0\r\n\r\n" : `${byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;
const linesOf = (pairs: readonly Pair[]) => pairs.map(([name, value]) => `${name}: ${value}\r\n`).join("");

function requestText(given: Case, index: number): string {
  const { requestBody: body, requestChunked } = given;
  const framing = body === undefined
    ? ""
    : requestChunked
    ? "Transfer-Encoding: chunked\r\n"
    : `Content-Length: ${byteLength(body)}\r\n`;
  const head = `${given.method} ${given.target} HTTP/1.${given.version}\r\nHost: shop.example\r\nX-Case: ${index}\r\n`;
  const sent = body === undefined ? "" : requestChunked ? chunked(body) : body;
  return `${head}${linesOf(given.requestHeaders)}${framing}\r\n${sent}`;
}

function responseText({ method, status, responseHeaders, responseBody, responseFraming, hints }: Case): string {
  const hint = hints ? "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" : "";
  const bodyless = status === 204 || status === 304;
  const framing = bodyless
    ? ""
    : responseFraming === "length"
    ? `Content-Length: ${byteLength(responseBody)}\r\n`
    : responseFraming === "chunked"
    ? "Transfer-Encoding: chunked\r\n"
    : "Connection: close\r\n";
  const sent = bodyless || method === "HEAD"
    ? ""
    : responseFraming === "chunked"
    ? chunked(responseBody)
    : responseBody;
  return `${hint}HTTP/1.1 ${status} Reason\r\n${linesOf(responseHeaders)}${framing}\r\n${sent}`;
}

/** What may differ, or does by chance. */
const NOT_COMPARED = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "te", // only where trailers can cross
  "x-request-id",
  "traceparent",
  "date",
]);
const ADDED_BY_FETCH = new Set(["accept", "accept-language", "accept-encoding", "user-agent"]);

/** Lower case, sorted, repeated ones joined in their order. */
function joined(pairs: readonly Pair[], skip: (name: string) => boolean): Record<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    if (NOT_COMPARED.has(lower) || skip(lower)) continue;
    const before = fields.get(lower);
    fields.set(lower, before === undefined ? value : `${before}${lower === "cookie" ? "; " : ", "}${value}`);
  }
  return Object.fromEntries([...fields].sort());
}

function seenByBackend({ method, target, headers, body, complete }: SeenRequest, given: Case) {
  const isGiven = (name: string) => given.requestHeaders.some((pair) => pair[0].toLowerCase() === name);
  const fields = joined(headers, (name) => ADDED_BY_FETCH.has(name) && !isGiven(name));
  return { method, target, fields, body: new TextDecoder().decode(body), complete };
}

/** Cookies are separate with every engine. */
function seenByClient({ status, headers, body, complete }: RawResponse) {
  const cookies = headers.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) => value);
  const fields = joined(headers, (name) => name === "set-cookie");
  return { status, cookies, fields, body: new TextDecoder().decode(body), complete };
}

/** One engine before a backend of its own, and a client that stays while it may. */
class Side implements AsyncDisposable {
  readonly backend: RecordingBackend;
  readonly proxy: TestProxy;
  #client: RawClient | undefined;

  static async start(engine: "fetch" | "wire", cases: readonly Case[]): Promise<Side> {
    const backend = new RecordingBackend(async (request, connection) => {
      const index = Number(request.headers.find(([name]) => name.toLowerCase() === "x-case")?.[1]);
      const given = cases[index];
      if (given === undefined) return undefined;
      await connection.send(responseText(given));
      const closes = given.responseFraming === "close" && given.status !== 204 && given.status !== 304;
      return closes ? undefined : "";
    });
    return new Side(backend, await TestProxy.start({ engine, backends: [backend.url], retries: { attempts: 0 } }));
  }

  private constructor(backend: RecordingBackend, proxy: TestProxy) {
    this.backend = backend;
    this.proxy = proxy;
  }

  async exchange(given: Case, index: number): Promise<RawResponse> {
    const client = this.#client ??= await RawClient.connect(this.proxy.port);
    await client.send(requestText(given, index));
    let response: RawResponse;
    do response = await answered(client.response(given.method), JSON.stringify(given)); while (response.status < 200);
    const closes = given.version === 0 ||
      response.headers.some(([name, value]) => /^connection$/i.test(name) && /close/i.test(value)) ||
      given.requestHeaders.some(([name, value]) => name === "Connection" && value.includes("close"));
    if (closes) this.#leave();
    return response;
  }

  #leave(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
    await this.proxy.idle();
    await this.proxy[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
  }
}

Deno.test("both engines: backends and clients see the same of random exchanges", async () => {
  const cases: Case[] = [];
  await using wire = await Side.start("wire", cases);
  await using fetch = await Side.start("fetch", cases);
  await fc.assert(
    fc.asyncProperty(exchange, async (given) => {
      const index = cases.push(given) - 1;
      const [byWire, byFetch] = await Promise.all([wire.exchange(given, index), fetch.exchange(given, index)]);
      assertEquals(seenByClient(byWire), seenByClient(byFetch), "the client");
      assertEquals(seenByBackend(wire.backend.last, given), seenByBackend(fetch.backend.last, given), "the backend");
    }),
    { numRuns: 100 },
  );
  assertEquals([wire.backend.violations, fetch.backend.violations], [[], []]);
  for (const { proxy, backend } of [wire, fetch]) assertEquals(proxy.backend(backend.url).totalFailures, 0);
});
