/** Sticky sessions: find the backend that a client had before. */

import { hexDigestOf } from "../digest.ts";
import type { Config } from "../config/schema.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { SessionTable } from "../memory/session_table.ts";

/** What stickiness may know of a request. */
export interface StickyRequest {
  readonly client: string;
  /** Whether the client's own connection is encrypted: the one to us, or the one to a trusted proxy. */
  readonly secure: boolean;
  header(name: string): string | undefined;
}

type CookieConfig = Extract<Config["sticky"], { by: "cookie" }>;

/** Binds clients to backends. Knows nothing of health: the caller decides whether the backend may still serve. */
export interface Stickiness {
  /** The backend that the client is bound to, if it is in the pool. */
  find(request: StickyRequest): Backend | undefined;
  /** Like `find`, but does not count as a use of the session. */
  peek(request: StickyRequest): Backend | undefined;
  /** Binds the client. Returns the value of a `Set-Cookie` header if the client has to be told. */
  bind(request: StickyRequest, backend: Backend): string | undefined;
}

/**
 * Returns the kind of stickiness that `sticky` asks for; `undefined`: none. `table` has the sessions by address, which
 * all isolates share.
 */
export function stickiness(
  config: Config["sticky"],
  pool: ServerPool,
  table: SessionTable | undefined,
): Stickiness | undefined {
  if (config === null) return undefined;
  if (config.by === "cookie") return new CookieStickiness(config, pool);
  return table === undefined ? undefined : new AddressStickiness(table, pool);
}

/**
 * Sessions in a cookie that names the backend. There is no state, so sessions survive restarts, and all processes with
 * the same backends agree. The name is a hash, so it does not reveal the address. A name of no backend in the pool is
 * ignored. The cookie also holds the time when it was set, because it is renewed after half its lifetime.
 */
export class CookieStickiness implements Stickiness {
  readonly #cookie: string;
  readonly #timeoutMs: number;
  /** `null`: set `Secure` if the client's connection is encrypted. */
  readonly #secure: boolean | null;
  /** All attributes but `Secure`, as text that follows the value. */
  readonly #attributes: string;
  readonly #pool: ServerPool;
  readonly #now: () => number;
  #named: { readonly of: readonly Backend[]; readonly byName: ReadonlyMap<string, Backend> } | undefined;
  readonly #names = new WeakMap<Backend, string>();

  constructor(config: CookieConfig, pool: ServerPool, now: () => number = Date.now) {
    this.#cookie = config.cookie;
    this.#timeoutMs = config.timeoutMs;
    this.#secure = config.secure;
    this.#attributes = attributesOf(config);
    this.#pool = pool;
    this.#now = now;
  }

  find(request: StickyRequest): Backend | undefined {
    return this.#read(request)?.backend;
  }

  peek(request: StickyRequest): Backend | undefined {
    return this.find(request);
  }

  bind(request: StickyRequest, backend: Backend): string | undefined {
    const session = this.#read(request);
    // A draining backend keeps its sessions only until they time out. If they were renewed, an active client would
    // never leave.
    const renewable = backend.state === "active" && backend.weight > 0;
    if (session?.backend === backend && (session.ageMs < this.#timeoutMs / 2 || !renewable)) return undefined;
    const givenAt = Math.floor(this.#now() / 1000).toString(36);
    const secure = this.#secure ?? request.secure ? "; Secure" : "";
    return `${this.#cookie}=${this.#nameOf(backend)}.${givenAt}${this.#attributes}${secure}`;
  }

  /**
   * Returns the session in the first of the client's cookies that names a backend of the pool and has not timed out.
   */
  #read(request: StickyRequest): { backend: Backend; ageMs: number } | undefined {
    const header = request.header("cookie");
    if (header === undefined) return undefined;
    // Another path, or another site of the same domain, may have set a cookie with the same name.
    for (let start = 0; start < header.length;) {
      let end = header.indexOf(";", start);
      if (end === -1) end = header.length;
      const value = valueIn(header, start, end, this.#cookie);
      const session = value === undefined ? undefined : this.#sessionOf(value);
      if (session !== undefined) return session;
      start = end + 1;
    }
    return undefined;
  }

  #sessionOf(value: string): { backend: Backend; ageMs: number } | undefined {
    const dot = value.indexOf(".");
    const ageMs = this.#now() - parseInt(value.slice(dot + 1), 36) * 1000;
    // The cookie may seem to come from the future, because another process with a different clock set it. The session
    // is kept.
    if (dot === -1 || !(ageMs < this.#timeoutMs) || ageMs < -this.#timeoutMs) return undefined;
    const backend = this.#byName().get(value.slice(0, dot));
    return backend && { backend, ageMs: Math.max(ageMs, 0) };
  }

  #byName(): ReadonlyMap<string, Backend> {
    const { backends } = this.#pool;
    if (this.#named?.of !== backends) {
      this.#named = { of: backends, byName: new Map(backends.map((backend) => [this.#nameOf(backend), backend])) };
    }
    return this.#named.byName;
  }

  #nameOf(backend: Backend): string {
    let name = this.#names.get(backend);
    if (name === undefined) {
      name = hexDigestOf(`roundhouse session ${backend.url}`, 24);
      this.#names.set(backend, name);
    }
    return name;
  }
}

/** Sessions by the client's address, in a table that all isolates share. */
export class AddressStickiness implements Stickiness {
  readonly #table: SessionTable;
  readonly #pool: ServerPool;

  constructor(table: SessionTable, pool: ServerPool) {
    this.#table = table;
    this.#pool = pool;
  }

  find({ client }: StickyRequest): Backend | undefined {
    return this.#backendAt(this.#table.find(client, Date.now()));
  }

  peek({ client }: StickyRequest): Backend | undefined {
    return this.#backendAt(this.#table.peek(client, Date.now()));
  }

  bind({ client }: StickyRequest, backend: Backend): undefined {
    this.#table.bind(client, backend.slot, backend.generation, Date.now());
  }

  #backendAt(place: { readonly slot: number; readonly generation: number } | undefined): Backend | undefined {
    return place && this.#pool.getBySlot(place.slot, place.generation);
  }
}

/** The attributes of the cookie (RFC 6265bis §4.1). */
function attributesOf({ timeoutMs, path, domain, sameSite }: CookieConfig): string {
  const scope = domain === null ? "" : `; Domain=${domain}`;
  return `; Path=${path}${scope}; Max-Age=${Math.ceil(timeoutMs / 1000)}; HttpOnly; SameSite=${SAME_SITE[sameSite]}`;
}

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;

/** Returns the value of the cookie between `start` and `end` of a `Cookie` header, if the cookie has this name. */
function valueIn(header: string, start: number, end: number, name: string): string | undefined {
  while (header.charCodeAt(start) === 0x20) start++;
  if (!header.startsWith(name, start) || header.charCodeAt(start + name.length) !== 0x3d) return undefined;
  return header.slice(start + name.length + 1, end).trim();
}
