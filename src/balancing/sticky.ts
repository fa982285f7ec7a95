/** Sticky sessions: which backend a client had before. */

import { createHash } from "node:crypto";
import type { Config } from "../config/schema.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { SessionTable } from "../memory/session_table.ts";

/** What stickiness may know of a request. */
export interface StickyRequest {
  readonly client: string;
  /** Whether the client's own connection is encrypted, here or at a trusted proxy. */
  readonly secure: boolean;
  header(name: string): string | undefined;
}

type CookieConfig = Extract<Config["sticky"], { by: "cookie" }>;

/** Binds clients to backends. Knows nothing of health: who asks decides whether the backend may still serve. */
export interface Stickiness {
  /** The backend that the client is bound to, if it is in the pool. */
  find(request: StickyRequest): Backend | undefined;
  /** As `find`, but for somebody who only asks: the session gets no older for it, nor younger. */
  peek(request: StickyRequest): Backend | undefined;
  /** Binds the client; returns the value of a `Set-Cookie` header where the client has to be told. */
  bind(request: StickyRequest, backend: Backend): string | undefined;
}

/** Returns what `sticky` asks for. `table` is the sessions by address, which all isolates share. */
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
 * By a cookie that names the backend: no state, so that any number of processes with the same backends agree, and
 * restarts are survived. The name is a hash: it tells nothing of the address, and one that names no backend of the
 * pool is worth nothing. Behind it stands when it was given out, for the renewal at half its life.
 */
export class CookieStickiness implements Stickiness {
  readonly #cookie: string;
  readonly #timeoutMs: number;
  /** `null`: where the client's connection is encrypted. */
  readonly #secure: boolean | null;
  /** All but `Secure`, as they stand behind each value. */
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
    // A backend that drains keeps its sessions only until they time out: a client that keeps coming would never leave.
    const renewable = backend.state === "active" && backend.weight > 0;
    if (session?.backend === backend && (session.ageMs < this.#timeoutMs / 2 || !renewable)) return undefined;
    const givenAt = Math.floor(this.#now() / 1000).toString(36);
    const secure = this.#secure ?? request.secure ? "; Secure" : "";
    return `${this.#cookie}=${this.#nameOf(backend)}.${givenAt}${this.#attributes}${secure}`;
  }

  /** What the first of the client's cookies says that names a backend of the pool and is not past its time. */
  #read(request: StickyRequest): { backend: Backend; ageMs: number } | undefined {
    const header = request.header("cookie");
    if (header === undefined) return undefined;
    // Another path, or another site of the same domain, may have set one of the same name.
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
    // A clock a little behind that of the process that gave it out is no reason to lose the session.
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
      name = createHash("sha256").update(`roundhouse session ${backend.url}`).digest("hex").slice(0, 24);
      this.#names.set(backend, name);
    }
    return name;
  }
}

/** By the client's address, in a table that all isolates share. */
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

/** RFC 6265bis §4.1. */
function attributesOf({ timeoutMs, path, domain, sameSite }: CookieConfig): string {
  const scope = domain === null ? "" : `; Domain=${domain}`;
  return `; Path=${path}${scope}; Max-Age=${Math.ceil(timeoutMs / 1000)}; HttpOnly; SameSite=${SAME_SITE[sameSite]}`;
}

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;

/** The value of the cookie that stands between `start` and `end` of a `Cookie` header, if it has this name. */
function valueIn(header: string, start: number, end: number, name: string): string | undefined {
  while (header.charCodeAt(start) === 0x20) start++;
  if (!header.startsWith(name, start) || header.charCodeAt(start + name.length) !== 0x3d) return undefined;
  return header.slice(start + name.length + 1, end).trim();
}
