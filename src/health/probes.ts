/** The kinds of health check: how one check of one backend is made. */

import { backendPort, isBlockedByFetch } from "../config/backend_url.ts";
import { checkedPath, passingStatuses } from "../config/checked.ts";
import type { HealthConfig } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import { connectTo, type Endpoint } from "../net/endpoint.ts";
import { isExhaustion } from "../net/exhaustion.ts";
import { withinLimit } from "../net/fair_limit.ts";
import type { Backend } from "../pool/backend.ts";
import type { BackendAddress } from "../pool/backend_address.ts";
import type { CheckClients } from "./check_clients.ts";

/** What one check saw. */
export interface Observation {
  readonly ok: boolean;
  /** HTTP status; `null` for a TCP check, or without a response. */
  readonly status: number | null;
  readonly durationMs: number;
  /** The cause in a few words, such as `connection refused` or `status 503`; `null` when `ok`. */
  readonly error: string | null;
  /** Whether our own file descriptors or ports ran out, so that the check says nothing about the backend. */
  readonly inconclusive?: boolean;
}

/** Checks one backend. */
export interface Probe {
  /**
   * Makes one check. Never rejects; when `cancelled` fires it resolves soon, with an observation that means nothing.
   */
  check(cancelled: AbortSignal): Promise<Observation>;
  /** Frees the resources of the probe. No check may be in flight. */
  close(): void;
}

/** Makes the probe of one backend. Those of all backends share the clients. */
export type ProbeFactory = (backend: Backend, config: HealthConfig, clients: CheckClients) => Probe;

/** What a check needs to know of a backend. It need not be in a pool. */
export interface CheckedServer extends BackendAddress {
  readonly tls: Backend["tls"];
}

/** The kinds of check by their name in the configuration; a new kind is one line here. */
export const PROBES: Readonly<
  Record<
    Exclude<HealthConfig["type"], "none">,
    (server: CheckedServer, config: HealthConfig, clients: CheckClients) => Probe
  >
> = {
  http: httpProbe,
  tcp: tcpProbe,
};

/** How much of a body is searched for the expected text. */
const MAX_BODY_BYTES = 64 * 1024;

/** Limits the length of messages of the runtime in logs and on the status page. */
const MAX_ERROR_CHARS = 200;

/** The result of a check: without `error` it passed. */
type Finding = Pick<Observation, "status" | "error" | "inconclusive">;

/** Passes when a connection can be made. */
function tcpProbe(backend: CheckedServer, config: HealthConfig): Probe {
  const endpoint = checkedEndpoint(backend, config);
  return {
    check: timed(config.timeoutMs, async (signal) => {
      const connection = await connectTo(endpoint, signal);
      connection.close();
      return { status: null, error: null };
    }),
    close: () => {},
  };
}

/** Passes when the response has one of the expected statuses and, if a text is configured, a body that contains it. */
function httpProbe(backend: CheckedServer, config: HealthConfig, clients: CheckClients): Probe {
  const { method, timeoutMs, body: wanted } = config;
  const url = checkUrl(backend, config);
  const headers = checkHeaders(config);
  const host = namedHost(backend, url);
  if (host !== undefined && !headers.has("host")) headers.set("host", host);
  const passing = passingStatuses(config);
  const asker = askerOf(backend, url, clients);
  return {
    check: timed(timeoutMs, async (signal) => {
      const { status, body } = await asker.ask(url, { method, headers, signal });
      const passes = passing.some(({ from, to }) => status >= from && status <= to);
      if (passes && wanted !== null) return { status, error: await bodyError(body, wanted, timeoutMs) };
      // Only the head matters, and the body may be an endless stream. The connection is not kept anyway.
      await body?.cancel().catch(() => {});
      return { status, error: passes ? null : `status ${status}` };
    }),
    close: () => asker.close(),
  };
}

/** Asks one backend over HTTP. */
interface Asker {
  ask(url: string, request: Pick<RequestInit, "method" | "signal"> & { readonly headers: Headers }): Promise<Answer>;
  close(): void;
}

type Answer = Pick<Response, "status" | "body">;

function askerOf(server: CheckedServer, url: string, clients: CheckClients): Asker {
  const { tls } = server;
  const isSecure = url.startsWith("https:");
  const insecure = tls.insecure && isSecure;
  const isNamed = tls.serverName !== null && isSecure;
  if (insecure || isNamed || "path" in server.endpoint || isBlockedByFetch(backendPort(url))) {
    // Imported only when needed: loading takes 20 ms.
    return {
      ask: async (...asked) => await (await import("./node_ask.ts")).askThroughNode(...asked, server),
      close() {},
    };
  }
  const { client, giveBack } = clients.lend(tls);
  return {
    ask: (url, request) => fetch(url, { client, redirect: "manual", ...request }),
    close: giveBack,
  };
}

/** Where a check goes to. A unix socket has no other port. */
function checkedEndpoint({ endpoint }: CheckedServer, { port }: HealthConfig): Endpoint {
  return port === null || "path" in endpoint ? endpoint : { ...endpoint, port };
}

/** The URL of the check. Base path and path are joined as for a request. */
function checkUrl(server: CheckedServer, health: HealthConfig): string {
  return checkOrigin(server, health) + server.basePath + checkedPath(health);
}

function checkOrigin(server: CheckedServer, health: HealthConfig): string {
  const { origin, hostname } = server;
  const endpoint = checkedEndpoint(server, health);
  if ("path" in endpoint) return origin;
  const isSecure = health.tls ?? origin.startsWith("https:");
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return new URL(`${isSecure ? "https" : "http"}://${host}:${endpoint.port}`).origin;
}

/** The `Host` of a check over TLS whose server has another name than its address; `undefined`: the URL's. */
function namedHost({ tls: { serverName } }: CheckedServer, url: string): string | undefined {
  if (serverName === null || !url.startsWith("https:")) return undefined;
  const name = serverName.includes(":") ? `[${serverName}]` : serverName;
  const port = backendPort(url);
  return port === 443 ? name : `${name}:${port}`;
}

function checkHeaders(config: HealthConfig): Headers {
  // Identity, so that the expected text is searched in an uncompressed body.
  const headers = new Headers({ "accept-encoding": "identity", "user-agent": "roundhouse health check" });
  for (const [name, value] of Object.entries(config.headers)) headers.set(name, value);
  return headers;
}

/** Why a body fails the check for the text `wanted`; `undefined` if it passes. */
async function bodyError(
  body: ReadableStream<Uint8Array> | null,
  wanted: string,
  timeoutMs: number,
): Promise<string | null> {
  try {
    if (body !== null && await contains(body, wanted)) return null;
    return `body does not contain ${JSON.stringify(wanted)}`;
  } catch (error) {
    return failureText(error, timeoutMs);
  }
}

/** Whether the first 64 KiB of a body, as UTF-8, contain a text. Reads no more than it must and cancels the rest. */
async function contains(body: ReadableStream<Uint8Array>, wanted: string): Promise<boolean> {
  const decoder = new TextDecoder();
  let text = "";
  let bytesLeft = MAX_BODY_BYTES;
  for await (const chunk of body) {
    // Keeps what may be the beginning of the text, so that it is found across chunks.
    const kept = text.slice(Math.max(text.length - wanted.length + 1, 0));
    text = kept + decoder.decode(chunk.subarray(0, bytesLeft), { stream: true });
    if (text.includes(wanted)) return true;
    bytesLeft -= chunk.length;
    if (bytesLeft <= 0) return false;
  }
  return false;
}

/** Runs a check within a time limit. Our own lateness does not count against the backend. */
function timed(timeoutMs: number, inspect: (signal: AbortSignal) => Promise<Finding>): Probe["check"] {
  return async (cancelled) => {
    const startedAt = performance.now();
    const inspected = withinLimit(timeoutMs, (limit) => inspect(AbortSignal.any([cancelled, limit])));
    const finding = await inspected.catch((thrown: unknown): Finding => {
      const failure = { status: null, error: failureText(thrown, timeoutMs) };
      return isExhaustion(thrown) ? { ...failure, inconclusive: true } : failure;
    });
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    return { ok: finding.error === null, durationMs, ...finding };
  };
}

/**
 * The cause of a failed check in a few words. `fetch` wraps it: "error sending request for url (…): client error
 * (Connect): tcp connect error: Connection refused (os error 111)" becomes "connection refused".
 */
function failureText(thrown: unknown, timeoutMs: number): string {
  if (thrown instanceof DOMException && thrown.name === "TimeoutError") return `timed out after ${timeoutMs} ms`;
  return messageOf(thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown)
    .replace(/^.*client error \(\w+\): /s, "")
    .replace(/^(tcp (connect|open)|dns) error: /, "")
    .replace(/^connect ECONNREFUSED .*/s, "connection refused") // `node:http`
    .replace(/ \(os error \d+\)/, "")
    .replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase())
    .slice(0, MAX_ERROR_CHARS);
}
