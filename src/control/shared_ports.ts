/** The sockets that another process has handed to this one, and those that this one can hand on. */

import type { Config } from "../config/schema.ts";
import { isSocket } from "../config/socket_path.ts";
import { ConfigError } from "../errors.ts";
import type { Log } from "../log.ts";
import { closeDescriptors, SharedPort } from "../net/shared_port.ts";
import type { PlaneSharing } from "../workers/data_plane.ts";
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
  /** The addresses that whoever opened them was configured with. A use that is missing: unknown. */
  readonly addresses?: ReadonlyMap<SocketUse, string>;
}

export const NO_SOCKETS: HandedSockets = { proxy: [], admin: undefined, redirect: undefined, fromSystemd: false };

/** A socket to hand on. */
export interface SocketToHand {
  readonly use: SocketUse;
  /** The receiver owns it. */
  readonly descriptor: number;
  /** Where the configuration wants it. */
  readonly address: string;
}

/** Where the configuration wants a socket. `undefined`: it wants none, or not at a port. */
function addressOf({ proxy, admin }: Config, use: SocketUse): string | undefined {
  if (use === "admin") return `${admin.host}:${admin.port}`;
  const port = use === "proxy" ? proxy.port : proxy.tls?.redirectFrom ?? null;
  return port === null || isSocket(proxy.host) ? undefined : `${proxy.host}:${port}`;
}

/**
 * The sockets that are to be used. Those for which the configuration has got another address are closed: this process
 * opens its own, and the one that has handed them over closes the old ones when it ends.
 *
 * @throws {ConfigError} when the others do not fit the configuration
 */
export async function fittingSockets(config: Config, given: HandedSockets, log: Log): Promise<HandedSockets> {
  const sockets = await stillWanted(config, given, log);
  checkSockets(config, sockets);
  return sockets;
}

async function stillWanted(config: Config, sockets: HandedSockets, log: Log): Promise<HandedSockets> {
  const { addresses, proxy, admin, redirect, fromSystemd } = sockets;
  if (addresses === undefined || fromSystemd) return sockets;
  const unwanted: number[] = [];
  const wanted = (use: SocketUse, given: readonly number[]) => {
    const from = addresses.get(use);
    const to = addressOf(config, use);
    if (from === undefined || from === to || given.length === 0) return given;
    log.info("address changed", { server: use, from, ...to === undefined ? {} : { to } });
    unwanted.push(...given);
    return [];
  };
  const one = (use: SocketUse, given: number | undefined) => wanted(use, given === undefined ? [] : [given])[0];
  const left = { proxy: wanted("proxy", proxy), admin: one("admin", admin), redirect: one("redirect", redirect) };
  await closeDescriptors(unwanted);
  return { ...left, fromSystemd };
}

/** @throws {ConfigError} when the sockets do not fit the configuration */
function checkSockets({ engine, proxy: { host, workers, tls } }: Config, sockets: HandedSockets): void {
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
  readonly #config: Config;
  readonly #sockets: HandedSockets;
  readonly #shares: boolean;

  /** @param config the one that this process was started with */
  constructor(config: Config, sockets: HandedSockets) {
    this.#config = config;
    this.#sockets = sockets;
    this.#shares = config.engine === "wire"; // under another engine the proxy's port can't be handed on, so neither are these
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

  /**
   * A descriptor of each, and of the proxy's own sockets. `undefined`: the process has too few left. They accept nobody
   * until `resume` is called, here and there.
   *
   * @throws when the proxy's own can't be had
   */
  async offer(proxy: PlaneSharing): Promise<readonly SocketToHand[] | undefined> {
    const own = await proxy.offer();
    if (own === undefined) return undefined;
    const others = Array.from(this.#open, ([use, port]) => ({ use, descriptor: port.offer() }));
    const all = [...own.map((descriptor) => ({ use: "proxy", descriptor } as const)), ...others];
    const offered = all.flatMap(({ use, descriptor }) => {
      const address = addressOf(this.#config, use) ?? ""; // it is open, so it has one
      return descriptor === undefined ? [] : [{ use, descriptor, address }];
    });
    if (offered.length === all.length) return offered;
    await closeDescriptors(offered.map(({ descriptor }) => descriptor));
    return undefined;
  }

  resume(): void {
    for (const port of this.#open.values()) port.resume();
  }
}
