/** A new process of the program, which is to take the place of this one. */

import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import type { SocketToHand } from "../control/shared_ports.ts";
import { messageOf } from "../errors.ts";
import { settlesWithin } from "../settles_within.ts";
import { HANDOVER, handoverText, READY } from "./handover.ts";

export interface SuccessorOptions {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly sockets: readonly SocketToHand[];
  /** Whether systemd has opened the sockets. */
  readonly fromSystemd: boolean;
  /** Which configuration is in force. It reads that one, or a later one. */
  readonly revision: number;
}

/** How long a successor that is not wanted any more may take to end. */
const END_WITHIN_MS = 5000;

/** The longest reason that is read. */
const MOST_REASON = 4096;

export class Successor {
  readonly pid: number;
  /** Settles when it serves. Rejects with the reason when it has ended before. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #revision: number;

  /** @throws when it can't be started */
  static async start(options: SuccessorOptions): Promise<Successor> {
    const { spawn } = await import("node:child_process");
    const { command: [executable = "", ...args], environment, sockets, fromSystemd, revision } = options;
    const child = spawn(executable, args, {
      env: { ...environment, [HANDOVER]: handoverText(sockets, fromSystemd) },
      stdio: ["ignore", "inherit", "inherit", "pipe", ...sockets.map(({ descriptor }) => descriptor)],
    });
    const { promise: failed, reject } = Promise.withResolvers<never>();
    child.on("error", reject);
    if (child.pid === undefined) await failed;
    failed.catch(() => {}); // from now on, its end says it
    return new Successor(child, child.pid ?? 0, revision);
  }

  private constructor(child: ChildProcess, pid: number, revision: number) {
    this.pid = pid;
    this.#revision = revision;
    this.#child = child;
    const exit = new Promise<string>((resolve) => {
      child.on("exit", (code, signal) => resolve(signal === null ? `status ${code}` : signal));
    });
    this.#ended = exit.then(() => {});
    this.ready = this.#becomesReady(exit);
    this.ready.catch(() => {}); // whoever waits gets it, too
  }

  /** Ends it, gracefully if it can. */
  async end(): Promise<void> {
    this.#child.kill("SIGTERM");
    if (!await settlesWithin(this.#ended, END_WITHIN_MS)) this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /**
   * Makes it read the configuration again, if that has changed since it was started: it may have read the file before.
   *
   * @param revision which configuration is in force
   */
  catchUp(revision: number): void {
    if (revision === this.#revision) return;
    this.#revision = revision;
    this.#child.kill("SIGHUP");
  }

  /** Lets it go on when this process ends. */
  leave(): void {
    this.#child.unref();
  }

  async #becomesReady(exit: Promise<string>): Promise<void> {
    const line = this.#child.stdio[3] as Readable; // "pipe" makes one that can be read
    let said = "";
    try {
      for await (const bytes of line) {
        said = (said + String(bytes)).slice(0, MOST_REASON);
        if (said.includes("\n")) break;
      }
    } catch (error) {
      said ||= messageOf(error);
    }
    const word = said.split("\n")[0];
    if (word === READY) return;
    throw new Error(`the new process ended with ${await exit}${word ? `: ${word}` : ""}`);
  }
}
