/** What a process and the one that takes its place say to each other. */

import { messageOf } from "../errors.ts";
import type { HandedSockets, SocketToHand, SocketUse } from "../control/shared_ports.ts";

/** Names the predecessor, who has opened the sockets, and what each is for: `4711 own proxy,admin`. */
export const HANDOVER = "ROUNDHOUSE_HANDOVER";

/** The successor's end of the line to its predecessor. The sockets follow, in the order of `HANDOVER`. */
export const LINE = 3;

/** The word on the line that says that the successor serves. Anything else says why it does not. */
export const READY = "ready";

const USES: ReadonlySet<string> = new Set<SocketUse>(["proxy", "admin", "redirect"]);

/** The value of `HANDOVER`. */
export function handoverText(sockets: readonly SocketToHand[], fromSystemd: boolean): string {
  return `${Deno.pid} ${fromSystemd ? "systemd" : "own"} ${sockets.map(({ use }) => use).join(",")}`;
}

/** The sockets that a text names. `undefined`: it is not ours. */
export function readHandover(text: string | undefined, parent: number): HandedSockets | undefined {
  const [pid, opener, names = "", ...rest] = text?.split(" ") ?? [];
  const uses = names.split(",");
  if (pid !== String(parent) || rest.length > 0 || !uses.every((use) => USES.has(use))) return undefined;
  const of = (use: SocketUse) => uses.flatMap((other, index) => other === use ? [LINE + 1 + index] : []);
  return { proxy: of("proxy"), admin: of("admin")[0], redirect: of("redirect")[0], fromSystemd: opener === "systemd" };
}

/** The process that has started this one, to be replaced by it. */
export class Predecessor {
  readonly sockets: HandedSockets;
  #told = false;

  /**
   * Takes what it has said out of the environment. `undefined`: there is none.
   *
   * @throws when that is not for this process, or its predecessor has ended. Its sockets are open here all the same, and
   * the kernel would give them clients that nobody serves
   */
  static take(environment: Pick<typeof Deno.env, "get" | "delete">): Predecessor | undefined {
    const text = environment.get(HANDOVER);
    if (text === undefined) return undefined;
    environment.delete(HANDOVER);
    const sockets = readHandover(text, Deno.ppid);
    if (sockets === undefined) {
      throw new Error(`${HANDOVER}: the process that hands its sockets over is not the parent`);
    }
    return new Predecessor(sockets);
  }

  private constructor(sockets: HandedSockets) {
    this.sockets = sockets;
  }

  /** Says that this process serves. The predecessor then stops. */
  async ready(): Promise<void> {
    await this.#tell(READY);
  }

  /** Says why this process ends. Has no effect after `ready`. */
  async failed(error: unknown): Promise<void> {
    await this.#tell(messageOf(error).replaceAll("\n", "; "));
  }

  async #tell(word: string): Promise<void> {
    if (this.#told) return;
    this.#told = true;
    const { closeSync, writeSync } = await import("node:fs");
    try {
      writeSync(LINE, `${word}\n`);
      closeSync(LINE);
    } catch {
      // the predecessor has ended
    }
  }
}
