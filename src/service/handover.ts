/** What a process and the one that takes its place say to each other. */

import { messageOf } from "../errors.ts";
import type { HandedSockets, SocketToHand, SocketUse } from "../control/shared_ports.ts";

/**
 * Names the predecessor, who has opened the sockets, what each is for, and where it was to be:
 * `4711 own proxy,admin 0.0.0.0:8080,127.0.0.1:8081`.
 */
export const HANDOVER = "ROUNDHOUSE_HANDOVER";

/** The successor's end of the line to its predecessor. The sockets follow, in the order of `HANDOVER`. */
export const LINE = 3;

/** The word on the line that says that the successor serves. Anything else says why it does not. */
export const READY = "ready";

const PID = /^[1-9]\d{0,9}$/;

const USES: ReadonlySet<string> = new Set<SocketUse>(["proxy", "admin", "redirect"]);

/** The value of `HANDOVER`. */
export function handoverText(sockets: readonly SocketToHand[], fromSystemd: boolean): string {
  const [uses, addresses] = [sockets.map(({ use }) => use).join(","), sockets.map(({ address }) => address).join(",")];
  return `${Deno.pid} ${fromSystemd ? "systemd" : "own"} ${uses} ${addresses}`;
}

/** What a text says. `undefined`: it is not ours. Without addresses, it is from a version that did not tell them. */
export function readHandover(
  text: string,
): { readonly predecessor: number; readonly sockets: HandedSockets } | undefined {
  const [pid = "", opener, names = "", places, ...rest] = text.split(" ");
  const uses = names.split(",");
  const at = places?.split(",") ?? [];
  if (!PID.test(pid) || rest.length > 0 || !uses.every(isUse)) return undefined;
  if (places !== undefined && at.length !== uses.length) return undefined;
  const of = (use: SocketUse) => uses.flatMap((other, index) => other === use ? [LINE + 1 + index] : []);
  const addresses = new Map(at.flatMap((address, index) => {
    const use = uses[index];
    return use === undefined ? [] : [[use, address] as const];
  }));
  const [proxy, [admin], [redirect]] = [of("proxy"), of("admin"), of("redirect")];
  const fromSystemd = opener === "systemd";
  return { predecessor: Number(pid), sockets: { proxy, admin, redirect, fromSystemd, addresses } };
}

function isUse(name: string): name is SocketUse {
  return USES.has(name);
}

/** The process that has started this one, to be replaced by it. */
export class Predecessor {
  readonly sockets: HandedSockets;
  #told = false;

  /**
   * Takes what it has said out of the environment. `undefined`: there is none.
   *
   * One that has ended was killed before this process served. All sockets are here, so this process serves alone.
   *
   * @throws when that is not for this process. The sockets of another one may be open here all the same, and the kernel
   * would give them clients that nobody serves
   */
  static async take(environment: Pick<typeof Deno.env, "get" | "delete">): Promise<Predecessor | undefined> {
    const text = environment.get(HANDOVER);
    if (text === undefined) return undefined;
    environment.delete(HANDOVER);
    const handover = readHandover(text);
    if (handover === undefined || (handover.predecessor !== Deno.ppid && !await hasEnded())) {
      throw new Error(`${HANDOVER}: the process that hands its sockets over is not the parent`);
    }
    return new Predecessor(handover.sockets);
  }

  private constructor(sockets: HandedSockets) {
    this.sockets = sockets;
  }

  /** Says that this process serves. The predecessor then stops. Returns whether it is still there. */
  async ready(): Promise<boolean> {
    return await this.#tell(READY);
  }

  /** Says why this process ends. Has no effect after `ready`. */
  async failed(error: unknown): Promise<void> {
    await this.#tell(messageOf(error).replaceAll("\n", "; "));
  }

  async #tell(word: string): Promise<boolean> {
    if (this.#told) return true;
    this.#told = true;
    const { closeSync, writeSync } = await import("node:fs");
    try {
      writeSync(LINE, `${word}\n`);
      closeSync(LINE);
      return true;
    } catch {
      return false; // the predecessor has ended
    }
  }
}

/** Whether a predecessor that is not the parent has ended. Otherwise, another process stands between the two. */
async function hasEnded(): Promise<boolean> {
  const { fstatSync, writeSync } = await import("node:fs");
  try {
    if (!fstatSync(LINE).isSocket()) return false;
    writeSync(LINE, " ");
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPIPE";
  }
}
