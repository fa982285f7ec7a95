/** Who and what reaches a route: the checks of the admin API, in their order. */

import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { Context, MiddlewareHandler } from "hono";
import { BrokenBody, type Incoming, type IncomingBody } from "../net/incoming.ts";
import { AdminError } from "./admin_error.ts";

/** What guards leave for routes. */
export type AdminEnv = {
  Bindings: Incoming;
  Variables: {
    /** The body as parsed; `undefined` when there was none. */
    body: unknown;
    /** The query, each parameter known and given once. */
    query: Readonly<Record<string, string>>;
  };
};

/** A request that has passed the guards. */
export type AdminContext = Context<AdminEnv>;

/** What one method of a route does. */
export interface Operation {
  readonly answer: (context: AdminContext) => Response | Promise<Response>;
  /** The query parameters that it knows; any other is refused. Default: none. */
  readonly query?: readonly string[];
}

/** A line of the route table: which methods a path has. HEAD comes with GET. */
export interface Route {
  readonly path: string;
  /** Holds no data and is open to whoever gets through to the port. Default: wants the token where one is set. */
  readonly needsNoToken?: boolean;
  readonly methods: { readonly [method in "GET" | "POST" | "PATCH" | "DELETE"]?: Operation };
}

/** The largest body. */
const MAX_BODY_BYTES = 64 * 1024;

/** For answers that leave part of the body unread: what is left of it must not be taken for another request. */
const CLOSE = { connection: "close" };

/**
 * 403 for requests that a web page elsewhere may have made the browser send. A page whose name was rebound to our
 * address shows in `Host` (looked at only without a token, which such a page would not know); one of another site or
 * port shows in `Origin`.
 */
export function sameSite(hasToken: boolean): MiddlewareHandler<AdminEnv> {
  return async (context, next) => {
    const authorities = authoritiesOf(context.req.raw);
    if (!hasToken && !authorities.every(isLocalAuthority)) {
      throw new AdminError(403, "without a token, Host must be localhost or an IP address");
    }
    const origin = context.req.header("origin");
    if (origin !== undefined && !authorities.every((authority) => isSameOrigin(origin, authority))) {
      throw new AdminError(403, "requests from pages of another origin are refused");
    }
    await next();
  };
}

/** The `Host` header, and the target's authority, which differs when the target is in absolute form. */
function authoritiesOf(request: Request): string[] {
  return [request.headers.get("host") ?? "", /^\w+:\/\/([^/?#]*)/.exec(request.url)?.[1] ?? ""];
}

/** Whether this can't be a name that somebody else's DNS answers for: `localhost` or an address, with any port. */
export function isLocalAuthority(authority: string): boolean {
  const [, ipv6, other] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(authority) ?? [];
  if (ipv6 !== undefined) return isIP(ipv6) === 6;
  return other !== undefined && (other.toLowerCase() === "localhost" || isIP(other) === 4);
}

/** Whether an `Origin` names the host and port that the request itself was sent to. */
export function isSameOrigin(origin: string, authority: string): boolean {
  const [, scheme] = /^(https?):\/\/[^/?#\\@\s]+$/i.exec(origin) ?? [];
  if (scheme === undefined) return false;
  // Parsing makes `http://h` and `h:80` equal. The whole is compared, so that nothing can hide in a strange `Host`.
  const own = URL.parse(`${scheme}://${authority}`);
  return own !== null && own.href === URL.parse(origin)?.href;
}

/** 401 without the token. `null`: none is set, anyone may pass. */
export function bearer(token: string | null): MiddlewareHandler<AdminEnv> {
  if (token === null) return (_context, next) => next();
  const expected = digest(token);
  return async (context, next) => {
    const given = /^Bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
    // Digests are of equal length, which the comparison needs, and tell nothing of how much of the token was right.
    if (given === undefined || !timingSafeEqual(digest(given), expected)) {
      const challenge = `Bearer realm="roundhouse"${given === undefined ? "" : ', error="invalid_token"'}`;
      const detail = given === undefined ? `want "Authorization: Bearer TOKEN"` : "the token is wrong";
      throw new AdminError(401, detail, { "www-authenticate": challenge });
    }
    await next();
  };
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** What the route does for this method. 405 with `Allow` when it has nothing. */
export function operationOf({ methods }: Route, method: string): Operation {
  const entries = Object.entries(methods);
  const wanted = method === "HEAD" ? "GET" : method;
  const operation = entries.find(([name]) => name === wanted)?.[1];
  if (operation !== undefined) return operation;
  const allow = entries.flatMap(([name]) => name === "GET" ? ["GET", "HEAD"] : [name]).join(", ");
  throw new AdminError(405, `got ${method}, want one of ${allow}`, { allow });
}

/** 400 for a query parameter that the operation does not know, or that is given twice. */
export function queryOf(url: string, { query: known = [] }: Operation): Readonly<Record<string, string>> {
  const start = url.indexOf("?");
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(start === -1 ? "" : url.slice(start))) {
    const shown = JSON.stringify(name.slice(0, 80));
    if (!known.includes(name)) {
      const wanted = known.length === 0 ? "none" : known.join(" or ");
      throw new AdminError(400, `unknown query parameter ${shown}, want ${wanted}`);
    }
    if (query.has(name)) throw new AdminError(400, `query parameter ${shown}: got it more than once, want it once`);
    query.set(name, value);
  }
  return Object.fromEntries(query);
}

/**
 * The JSON value that a request carries, `undefined` when it has no body: 415 for another content type, 413 for more
 * than 64 KiB, 408 when it has not all come in time, 400 when it is no JSON.
 */
export async function readJson(headers: Headers, body: Pick<IncomingBody, "read"> | undefined): Promise<unknown> {
  if (body === undefined) return undefined;
  const declared = headers.get("content-length");
  // Refused by its head alone, a client that waits for "100 Continue" need not send the body.
  if (declared !== null) {
    requireJson(headers);
    if (Number(declared) > MAX_BODY_BYTES) throw tooLarge();
  }
  const bytes = await readBytes(body, () => requireJson(headers));
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AdminError(400, "body: got malformed JSON");
  }
}

function requireJson(headers: Headers): void {
  const contentType = headers.get("content-type") ?? "";
  if (/^application\/json\s*(?:;|$)/i.test(contentType)) return;
  const got = contentType === "" ? "nothing" : JSON.stringify(contentType.slice(0, 80));
  throw new AdminError(415, `content-type: got ${got}, want application/json`, CLOSE);
}

/** Puts all of a body into one buffer, however small its pieces; calls `onFirst` before the first byte, which may refuse it. */
async function readBytes(body: Pick<IncomingBody, "read">, onFirst: () => void): Promise<Uint8Array> {
  let held = Buffer.alloc(0);
  let length = 0;
  const keep = (bytes: Uint8Array, from: number, to: number) => {
    if (to === from) return;
    if (length === 0) onFirst();
    const needed = length + to - from;
    if (needed > MAX_BODY_BYTES) throw tooLarge();
    if (needed > held.length) held = Buffer.concat([held], Math.min(2 * needed, MAX_BODY_BYTES));
    held.set(bytes.subarray(from, to), length);
    length = needed;
  };
  try {
    while (await body.read(keep));
  } catch (error) {
    if (!(error instanceof BrokenBody)) throw error;
    throw new AdminError(error.late ? 408 : 400, `body: ${error.message}`, CLOSE);
  }
  return held.subarray(0, length);
}

function tooLarge(): AdminError {
  return new AdminError(413, `body: got more than ${MAX_BODY_BYTES} bytes, want at most that`, CLOSE);
}
