/** The sockets that another process has handed to this one, and those that this one can hand on. */

import type { Config } from "../config/schema.ts";
import { isSocket } from "../config/socket_path.ts";
import { ConfigError } from "../errors.ts";
import { closeDescriptors, SharedPort } from "../net/shared_port.ts";
import { workerCount } from "../workers/worker_count.ts";

/** What a socket is for. */
export type SocketUse = "proxy" | "admin" | "redirect";

/** Descriptors of sockets that listen. Whoever gets them owns them. */
export interface HandedSockets {
  /** Several, if several workers have opened them. Empty: the proxy opens its own. */
  readonly proxy: readonly number[];
  readonly admin: number | undefined;
  readonly redirect: number | undefined;
  /** Whether systemd has opened them. Their addresses are then what systemd says, whatever the configuration says. */
  readonly fromSystemd: boolean;
}

export const NO_SOCKETS: HandedSockets = { proxy: [], admin: undefined, redirect: undefined, fromSystemd: false };

/** A socket to hand on. */
export interface SocketToHand {
  readonly use: SocketUse;
  /** The receiver owns it. */
  readonly descriptor: number;
}

/** @throws {ConfigError} when the sockets do not fit the configuration */
export function checkSockets({ engine, proxy: { host, workers, tls } }: Config, sockets: HandedSockets): void {
  const lines: string[] = [];
  const given = sockets.proxy.length;
  if (given > 0 && engine !== "wire") {
    lines.push(`engine: "${engine}" can't accept clients at a socket that it has not opened, use engine "wire"`);
  }
  if (given > 0 && isSocket(host)) {
    lines.push(
      `proxy.host: got ${host}, want an address: a socket for a port was handed over, where nobody would serve`,
    );
  }
  if (given > workerCount(workers)) {
    lines.push(`proxy.workers: got ${workerCount(workers)}, want ${given}: each socket that was handed over needs one`);
  }
  if (sockets.redirect !== undefined && (tls?.redirectFrom ?? null) === null) {
    lines.push("proxy.tls.redirectFrom: got nothing, want a port: a socket for it was handed over");
  }
  if (lines.length > 0) throw new ConfigError(lines);
}

/** Why the proxy's socket can't be handed on, where it can't. */
export function whyNotShared({ engine, proxy: { host } }: Config): string {
  return isSocket(host) ? "a unix socket can't be handed over" : `engine ${engine} can't hand its socket over`;
}

/** The ports beside the proxy's own. */
export class SharedPorts {
  readonly #open = new Map<SocketUse, SharedPort>();
  readonly #sockets: HandedSockets;
  readonly #shares: boolean;

  constructor({ engine }: Config, sockets: HandedSockets) {
    this.#sockets = sockets;
    this.#shares = engine === "wire"; // under another engine the proxy's port can't be handed on, so neither are these
  }

  /**
   * Opens a port for a server. `undefined`: the server opens its own.
   *
   * @throws when the socket that was handed over can't be used
   */
  async open(
    use: "admin" | "redirect",
    at: { readonly host: string; readonly port: number },
  ): Promise<SharedPort | undefined> {
    const socket = this.#sockets[use];
    if (socket === undefined && !this.#shares) return undefined;
    const port = await SharedPort.open({ hostname: at.host, port: at.port }, socket);
    port?.lookFirst();
    if (port !== undefined) this.#open.set(use, port);
    return port;
  }

  /** A descriptor of each; `undefined`: the process has too few left. They accept nobody until `resume` is called. */
  async offer(): Promise<readonly SocketToHand[] | undefined> {
    const sockets = Array.from(this.#open, ([use, port]) => ({ use, descriptor: port.offer() }));
    if (sockets.every(isOffered)) return sockets;
    await closeDescriptors(sockets.filter(isOffered).map(({ descriptor }) => descriptor));
    return undefined;
  }

  resume(): void {
    for (const port of this.#open.values()) port.resume();
  }
}

function isOffered(
  socket: { readonly use: SocketUse; readonly descriptor: number | undefined },
): socket is SocketToHand {
  return socket.descriptor !== undefined;
}
