/** What the conformance suite knows of the engine it runs on, and the steps that all its topics share. */

import { assert, assertEquals } from "@std/assert";
import type { Config, ConfigFile } from "../../src/config/schema.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import type { RecordingBackend } from "../support/raw_recorder.ts";

/** An engine, and where it may do otherwise than the proxy promises (docs/http.md has the list). */
export interface EngineUnderTest {
  readonly name: Config["engine"];
  readonly deviations: Deviations;
}

/** What an engine does otherwise, as data. All `false`: every promise to the letter. */
export interface Deviations {
  /** `Accept-Encoding: identity` reaches backends in a line before the client's own. */
  readonly asksForIdentity: boolean;
  /** Targets arrive as the URL standard writes them, `OPTIONS *` as `/`. */
  readonly rewritesTargets: boolean;
  /** Repeated request headers arrive as one, joined. */
  readonly joinsRepeatedHeaders: boolean;
  /** Header names arrive in lower case and sorted. */
  readonly sortsHeaders: boolean;
  /** `accept`, `accept-language` and `user-agent` are added where absent. */
  readonly addsRequestHeaders: boolean;
  /** Methods that the fetch standard knows arrive in upper case. */
  readonly upperCasesMethods: boolean;
  /** GET or HEAD with a body gets 501. */
  readonly refusesGetWithBody: boolean;
  /** A client that expects 100 gets it before anything has looked at the request's head. */
  readonly continuesUnasked: boolean;
  /** 1xx responses do not reach the client. */
  readonly dropsInformational: boolean;
  /** Trailers reach neither side. */
  readonly dropsTrailers: boolean;
  /** Backend statuses above 599 become 502. */
  readonly refusesHighStatuses: boolean;
  /** 205 arrives as 204: the runtime can't frame a 205. */
  readonly answers204For205: boolean;
  /** A response with more than 100 headers becomes 502. */
  readonly refusesManyHeaders: boolean;
  /** A body that a backend breaks off is cut at the client but neither logged nor counted. */
  readonly overlooksBrokenBodies: boolean;
  /** A client that is still sending its body does not see the cut before it has sent it or left. */
  readonly cutsBehindUploads: boolean;
  /** `timeouts.idle` is a configuration error. */
  readonly knowsNoIdle: boolean;
  /** Whether a request was sent before `timeouts.connect` passed is not known: only repeatable ones go elsewhere. */
  readonly doubtsConnectTimeouts: boolean;
  /** The parser lets a bare LF pass for CRLF: forwarded as one clean request, or not at all. */
  readonly toleratesBareLf: boolean;
  /** The runtime's own parser answers garbage: its 400 may have no body. */
  readonly hasForeignParser: boolean;
  /** `proxy.compression` is supported. */
  readonly compresses: boolean;
  /** `Upgrade` is for WebSockets alone. */
  readonly bridgesWebSocketsOnly: boolean;
  /** Of a refused WebSocket upgrade only the status is passed on. */
  readonly dropsRefusalBodies: boolean;
}

/** A proxy with this engine on free ports. */
export function startProxy(engine: EngineUnderTest, settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ engine: engine.name, ...settings });
}

/**
 * A limit that a test lets pass. On a busy machine, too, what is to come within it does, and every probe after a request
 * is under the same limit.
 */
export const LIMIT_MS = 300;

/** Whatever does not come within this time never will. */
const PATIENCE_MS = 30_000;

/** The value of a promise that has to settle soon: a test that would hang fails and says at what. */
export async function within<Value>(promise: Promise<Value>, what: string): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A response that has to come. */
export async function answered(response: Promise<RawResponse | undefined>, what = "the request"): Promise<RawResponse> {
  const got = await within(response, `an answer to ${what}`);
  assert(got !== undefined, `the connection was closed before an answer to ${what}`);
  return got;
}

/** Sends a request that has to be answered. */
export function ask(client: RawClient, request: string | Uint8Array, method = methodOf(request)): Promise<RawResponse> {
  return answered(client.send(request).then(() => client.response(method)), JSON.stringify(request.slice(0, 200)));
}

function methodOf(request: string | Uint8Array): string {
  const text = typeof request === "string" ? request : new TextDecoder("latin1").decode(request.subarray(0, 40));
  return text.slice(0, text.indexOf(" "));
}

/** A GET as bytes, header lines each with its CRLF. */
export function get(target: string, headers = ""): string {
  return `GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
}

/** A POST with a body of known length. */
export function post(target: string, body: string, headers = ""): string {
  return `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`;
}

/** A POST with a chunked body, each part a chunk. */
export function postChunked(target: string, parts: readonly string[], headers = ""): string {
  const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
  return `POST ${target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n${headers}\r\n${chunks}0\r\n\r\n`;
}

let probes = 0;

/**
 * Asks for something new on a client's connection: the answer has to be the one to this very request, unless the
 * proxy has closed the connection. Returns which it was. The backend has to be an echoing `RecordingBackend`.
 */
export async function probe(client: RawClient, what: string): Promise<"served" | "closed"> {
  const target = `/probe-${++probes}`;
  await client.send(get(target)).catch(() => {}); // closed: the response says so
  const response = await within(client.response(), `an answer after ${what}`);
  if (response === undefined) return "closed";
  assertEquals([response.status, textOf(response)], [200, `GET ${target} 0`], `the next request after ${what}`);
  return "served";
}

/**
 * What has to hold whatever a client sent: its connection serves the next request right or is closed, so do new
 * connections, often enough to reuse what is idle behind them; nothing malformed reached the backend; nothing is
 * left in flight.
 */
export async function unharmed(
  { proxy, client, backend, what }: { proxy: TestProxy; client?: RawClient; backend: RecordingBackend; what: string },
): Promise<void> {
  if (client !== undefined) await probe(client, what);
  for (let connection = 0; connection < 2; connection++) {
    using other = await RawClient.connect(proxy.port);
    assertEquals(await probe(other, `${what}, on a new connection`), "served");
  }
  assertEquals(backend.violations, [], what);
  client?.close();
  await proxy.idle();
}
