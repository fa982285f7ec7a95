/** Redirects clients of plain HTTP to the HTTPS port (`proxy.tls.redirectFrom`), and meets an authority's challenges. */

import type { Config } from "../config/schema.ts";
import { ProxyError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { GuardLimits } from "../net/guarded_connection.ts";
import { GuardedServer } from "../net/guarded_server.ts";
import type { SharedPort } from "../net/shared_port.ts";
import type { Incoming } from "../net/incoming.ts";
import { isWellFormedAuthority } from "../proxy/authority.ts";
import { hostMissing, methodNotAllowed, refused } from "../failures.ts";
import { RandomHex } from "../proxy/ids.ts";
import { problemFor } from "../proxy/problem.ts";
import type { Challenges } from "../tls/acme/challenges.ts";

export interface RedirectOptions {
  readonly config: Config;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** The port of the proxy, which speaks HTTPS. */
  readonly httpsPort: number;
  readonly challenges: Pick<Challenges, "answer">;
  readonly log: Log;
  /** Called when no client can be accepted, and when clients can be accepted again. */
  readonly acceptingChanged: (accepting: boolean) => void;
  /** Accepts clients there; the default is a listener of its own. */
  readonly shared: SharedPort | undefined;
}

/** A listener that redirects, and does nothing else but for an authority. */
export interface RedirectServer {
  readonly address: Deno.NetAddr;
  /** Uses the limits of another configuration from now on. */
  configure(config: Config): void;
  /** Accepts no more clients, because another process does. */
  release(): Promise<void>;
  /** Closes the port and every connection. */
  stop(): Promise<void>;
}

/** How long clients may take for an answer during a stop. Answers are short, so a slower client does not read. */
const STOP_GRACE_MS = 1000;

/** The parts of a head that the redirect depends on. */
type RedirectedHead = Pick<Incoming["head"], "method" | "authority" | "target" | "fields">;

/**
 * Starts redirecting.
 *
 * @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound
 */
export function startRedirect(
  { config, host, port, httpsPort, challenges, log, acceptingChanged, shared }: RedirectOptions,
): RedirectServer {
  const random = new RandomHex();
  let meets = hasChallenges(config);
  const server = new GuardedServer({
    hostname: host,
    port,
    limits: limitsOf(config),
    log,
    acceptingChanged,
    shared,
    needsHost: true,
    handle: async ({ head }) => {
      return (meets ? await met(head, challenges) : undefined) ?? answer(head, httpsPort, random.take(16));
    },
    refuse: (status, detail) => problem(refused(CODES[status], detail), random.take(16)),
  });
  return {
    address: server.address,
    configure(config) {
      meets = hasChallenges(config);
      server.configure(limitsOf(config));
    },
    release: () => server.release(),
    stop: () => server.stop(STOP_GRACE_MS),
  };
}

function limitsOf({ proxy, timeouts }: Config): GuardLimits {
  return { ...timeouts, maxConnections: proxy.maxConnections, maxHeaderBytes: proxy.maxHeaderBytes };
}

function hasChallenges({ proxy: { tls } }: Config): boolean {
  return tls !== null && tls.acme !== null;
}

const CODES = { 400: "bad_request", 408: "head_timeout", 431: "head_too_large" } as const;

/** Where an authority asks for the answer to a challenge (RFC 8555 §8.3). */
const CHALLENGE_PATH = "/.well-known/acme-challenge/";

/** The answer to a challenge that is under way. `undefined`: the request is like any other. */
async function met(
  { method, target }: RedirectedHead,
  challenges: RedirectOptions["challenges"],
): Promise<Response | undefined> {
  if (method !== "GET" && method !== "HEAD" || !target.startsWith(CHALLENGE_PATH)) return undefined;
  const text = await challenges.answer(target.slice(CHALLENGE_PATH.length));
  if (text === undefined) return undefined;
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": `${text.length}`,
    connection: "close",
  };
  return new Response(text, { headers });
}

/** The answer to a request. The connection is closed after it, because nothing else is served here. */
function answer(head: RedirectedHead, httpsPort: number, requestId: string): Response {
  try {
    const headers = { location: locationFor(head, httpsPort), "x-request-id": requestId, connection: "close" };
    return new Response(null, { status: 308, headers });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return problem(error, requestId);
  }
}

function problem(error: ProxyError, requestId: string): Response {
  const { status, headers, body } = problemFor(error, requestId, 1);
  const bytes = new TextEncoder().encode(body);
  const framing: [string, string][] = [["content-length", String(bytes.length)], ["connection", "close"]];
  return new Response(bytes, { status, headers: [...headers, ...framing] });
}

/**
 * Returns the URL of the same request over HTTPS: its host, the HTTPS port, its target.
 *
 * @throws {ProxyError} for a request without a well-formed host, and for CONNECT and TRACE
 */
function locationFor({ method, authority, target, fields }: RedirectedHead, httpsPort: number): string {
  if (method === "CONNECT" || method === "TRACE") throw methodNotAllowed(method);
  if (authority === undefined) throw hostMissing();
  // `Host` must be well-formed even if the target has its own authority.
  const given = fields.find(([name]) => name.toLowerCase() === "host")?.[1] ?? authority;
  if (![authority, given].every(isWellFormedAuthority)) throw refused("bad_request", "The host is malformed.");
  const host = authority.replace(/:\d*$/, "");
  return `https://${host}${httpsPort === 443 ? "" : `:${httpsPort}`}${target === "*" ? "/" : target}`;
}
