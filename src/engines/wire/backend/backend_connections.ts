/** The connections to backends. One is made when none is idle, and kept while it can be used. */

import { messageOf } from "../../../errors.ts";
import { isExhaustion } from "../../../net/exhaustion.ts";
import type { ReachedServer } from "../../../pool/backend_address.ts";
import type { ServerPools } from "../../../pool/server_pools.ts";
import { connectFailed, exhausted } from "../../../failures.ts";
import { BackendConnection, type ConnectionRoom, REQUEST_ROOM } from "./backend_connection.ts";
import { dial } from "./dial.ts";
import { TimeoutQueue } from "../timeouts.ts";

/** The largest number of idle connections for each backend. */
const MOST_IDLE = 1024;

/** Connections that are idle for longer are closed, before most servers close them (nginx: 75 s). */
const IDLE_MS = 60_000;

interface KeptConnections {
  /** The one used last is the last. */
  readonly idle: BackendConnection[];
  readonly open: Set<BackendConnection>;
}

/** Owns the connections of one isolate. */
export class BackendConnections {
  readonly #kept = new Map<ReachedServer, KeptConnections>();
  readonly #idleTimeouts = new TimeoutQueue(IDLE_MS);
  /** Backends that were removed from their pool, and other servers that are no longer asked. */
  readonly #removed = new WeakSet<ReachedServer>();
  readonly #room: ConnectionRoom;
  readonly #unsubscribe: () => void;

  constructor(pools: ServerPools, room = REQUEST_ROOM) {
    this.#room = room;
    this.#unsubscribe = pools.subscribe({
      poolChanged: ({ type, backend }) => {
        if (type === "removed") this.leave(backend);
      },
    });
  }

  /** Closes the idle connections to a server. Those in use are closed after use. */
  leave(server: ReachedServer): void {
    this.#removed.add(server);
    for (const connection of this.#kept.get(server)?.idle.splice(0) ?? []) connection.close();
  }

  /**
   * Takes the idle connection that was used last, so that the others can time out. A request that may change something
   * only gets one that was used a moment ago. Otherwise the backend might close the connection at the same moment, and
   * it would be unknown whether the request was processed.
   *
   * @param safe whether the request changes nothing
   */
  takeIdle(server: ReachedServer, safe: boolean): BackendConnection | undefined {
    const idle = this.#kept.get(server)?.idle;
    const connection = idle?.at(-1);
    if (idle === undefined || connection === undefined) return undefined;
    if (!safe && !connection.startedLately) return undefined;
    idle.pop();
    connection.leaveIdle();
    return connection;
  }

  /**
   * Makes a connection.
   *
   * @throws {ProxyError} `connect_failed`, or `internal` if file descriptors, ports or memory have run out. Nothing was
   * sent
   */
  async connect(server: ReachedServer, signal: AbortSignal): Promise<BackendConnection> {
    try {
      const link = await dial(server, signal);
      const connection = new BackendConnection(server, link, this.#room, this.#closed);
      this.#keptFor(server).open.add(connection);
      return connection;
    } catch (cause) {
      if (isExhaustion(cause)) throw exhausted(cause);
      throw connectFailed(connectReason(cause));
    }
  }

  /** Keeps a connection whose last exchange has certainly ended. */
  giveBack(connection: BackendConnection): void {
    const kept = this.#kept.get(connection.server);
    const { inlet, closed, sending } = connection;
    const useless = closed || sending || inlet.ended || inlet.unread > 0 || this.#removed.has(connection.server);
    if (kept === undefined || useless || kept.idle.length >= MOST_IDLE) return connection.close();
    kept.idle.push(connection);
    this.#idleTimeouts.start(connection);
    connection.becomeIdle(this.#lost);
  }

  /** Closes all connections, also those in use. */
  close(): void {
    this.#unsubscribe();
    for (const { open } of this.#kept.values()) {
      for (const connection of open) connection.close();
    }
    this.#idleTimeouts.close();
  }

  #keptFor(server: ReachedServer): KeptConnections {
    let kept = this.#kept.get(server);
    if (kept === undefined) this.#kept.set(server, kept = { idle: [], open: new Set() });
    return kept;
  }

  readonly #lost = (connection: BackendConnection): void => {
    const idle = this.#kept.get(connection.server)?.idle;
    const at = idle?.indexOf(connection) ?? -1;
    if (at !== -1) idle?.splice(at, 1);
    connection.close();
  };

  readonly #closed = (connection: BackendConnection): void => {
    const kept = this.#kept.get(connection.server);
    kept?.open.delete(connection);
    if (kept?.open.size === 0) this.#kept.delete(connection.server);
  };
}

function connectReason(cause: unknown): string {
  if (cause instanceof DOMException && cause.name === "AbortError") return "timed out";
  return messageOf(cause).replace(/ \(os error \d+\)/, "").toLowerCase();
}
