/** Replaces the process by a new one of the program, which goes on at the same sockets. */

import type { SocketToHand } from "../control/shared_ports.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { closeDescriptors } from "../net/shared_port.ts";
import { settlesWithin } from "../settles_within.ts";
import { Successor } from "./successor.ts";

/** How long a new process may take until it serves. A built file may have to unpack itself. */
const READY_WITHIN_MS = 60_000;

/** Descriptors that a start of a process takes. Without them, the runtime would end this process. */
const SPARE_DESCRIPTORS = 16;

/** A process that is the first one of its container. All others end with it. */
const FIRST_PID = 1;

export interface UpgradeOptions {
  readonly log: Log;
  /**
   * Descriptors of all sockets. `undefined`: too few are left. Rejects when the sockets can't be shared. Clients wait
   * until `resume` is called.
   */
  readonly offer: () => Promise<readonly SocketToHand[] | undefined>;
  readonly resume: () => Promise<void>;
  /** Whether systemd has opened the sockets. */
  readonly fromSystemd: boolean;
  /** The command that starts the program anew. Throws when it is not known. */
  readonly command: () => readonly string[];
  /** The variables of the new process. */
  readonly environment: () => Readonly<Record<string, string>>;
  /** Which configuration is in force: changes whenever that does. */
  readonly revision: () => number;
  /** Why there can be no upgrade at all. */
  readonly obstacle: string | undefined;
  /** Default: a minute. */
  readonly readyWithinMs?: number;
}

/** Why this process can't be replaced. `undefined`: it can. */
export function obstacleTo(
  { hasServiceManager, fromStandardInput, env }: {
    readonly hasServiceManager: boolean;
    readonly fromStandardInput: boolean;
    readonly env: (name: string) => string | undefined;
  },
): string | undefined {
  if (Deno.pid === FIRST_PID) return "a container ends with its first process: start a new container instead";
  if (fromStandardInput) return "the configuration came from standard input, which can't be read again";
  if (env("SYSTEMD_EXEC_PID") === String(Deno.pid) && !hasServiceManager) {
    return "systemd would end the service with this process: the unit needs Type=notify";
  }
  return undefined;
}

export class Upgrade {
  /** Resolves with a new process that serves. This one is to stop then. */
  readonly done: Promise<Successor>;
  readonly #options: UpgradeOptions;
  readonly #resolve: (successor: Successor) => void;
  #running: Promise<void> | undefined;
  #successor: Successor | undefined;
  #isOver = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    ({ promise: this.done, resolve: this.#resolve } = Promise.withResolvers<Successor>());
  }

  /** Starts a new process, unless that is under way. If it fails, this one goes on. */
  request(): void {
    const { log } = this.#options;
    if (this.#isOver) return log.warn("upgrade not begun", { reason: "this process is stopping" });
    if (this.#running !== undefined) return log.warn("upgrade not begun", { reason: "another one is under way" });
    this.#running = this.#run().catch((error: unknown) => {
      log.error("upgrade failed", { reason: messageOf(error) });
    }).finally(() => this.#running = undefined);
  }

  /** Begins no more upgrades, and ends a new process. */
  async cancel(): Promise<void> {
    this.#isOver = true;
    await this.#successor?.end();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, obstacle, readyWithinMs = READY_WITHIN_MS } = this.#options;
    if (obstacle !== undefined) throw new Error(obstacle);
    const successor = this.#successor = await this.#start();
    log.info("upgrade begun", { pid: successor.pid });
    try {
      if (this.#isOver) throw new Error("this process is stopping");
      if (!await settlesWithin(successor.ready, readyWithinMs)) {
        throw new Error(`the new process was not ready after ${readyWithinMs / 1000} s`);
      }
    } catch (error) {
      await successor.end();
      this.#successor = undefined;
      throw error;
    }
    this.#isOver = true;
    successor.leave();
    this.#resolve(successor);
  }

  async #start(): Promise<Successor> {
    const { command, environment, offer, resume, fromSystemd, revision } = this.#options;
    if (!hasSpareDescriptors()) throw new Error("too few file descriptors are left");
    const words = command(); // it is read from a file
    let sockets: readonly SocketToHand[] = [];
    try {
      const offered = await offer();
      if (offered === undefined) throw new Error("too few file descriptors are left");
      sockets = offered;
      const options = { command: words, environment: environment(), sockets, fromSystemd, revision: revision() };
      return await Successor.start(options);
    } finally {
      await closeDescriptors(sockets.map(({ descriptor }) => descriptor));
      await resume();
    }
  }
}

function hasSpareDescriptors(): boolean {
  const spare: Deno.Listener[] = [];
  try {
    for (let count = 0; count < SPARE_DESCRIPTORS; count++) spare.push(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
    return true;
  } catch {
    return false;
  } finally {
    for (const listener of spare) listener.close();
  }
}
