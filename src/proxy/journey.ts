/** A request on its way: what strategies may know of it, where it has been, and which backend its client sticks to. */

import type { PickRequest } from "../balancing/strategy.ts";
import type { Backend } from "../pool/backend.ts";
import { NO_TICKET } from "../pool/waiting_line.ts";
import type { ForwardedRequest } from "./headers.ts";
import type { HeaderPair, RequestHead } from "./message.ts";

export class Journey implements PickRequest {
  /** The client's address, as `trustForwarded` yields it. */
  readonly client: string;
  readonly target: string;
  /** Whether the client's own connection is encrypted. */
  readonly secure: boolean;
  /** The backends that were tried, in order; one that was lost and came back may be there twice. */
  readonly tried: Backend[] = [];
  /** How many of `tried` no longer keep the request from going there again. */
  #forgiven = 0;
  /** When it first waited for a lost backend, in milliseconds since the Unix epoch; 0: never. */
  heldSince = 0;
  /** Its place in the line while it waits. */
  ticket = NO_TICKET;
  /** Whom the client's session names, whatever became of it. */
  session: Backend | undefined;
  readonly #headers: readonly HeaderPair[];

  constructor(request: RequestHead, forwarded: ForwardedRequest) {
    this.client = forwarded.client;
    this.target = request.target;
    this.secure = forwarded.secure;
    this.#headers = request.headers;
  }

  header(name: string): string | undefined {
    let value: string | undefined;
    for (const pair of this.#headers) {
      if (pair[0].length !== name.length || pair[0].toLowerCase() !== name) continue;
      // As RFC 9110 §5.3 and RFC 9113 §8.2.3 join lines: the same value, whether the engine has joined them or not.
      value = value === undefined ? pair[1] : `${value}${name === "cookie" ? "; " : ", "}${pair[1]}`;
    }
    return value;
  }

  accepts(backend: Backend): boolean {
    return !this.hasTried(backend) && backend.hasRoomFor(this.ticket);
  }

  /** Whether the request was at this backend, and has not been forgiven since. */
  hasTried(backend: Backend): boolean {
    return this.tried.includes(backend, this.#forgiven);
  }

  /** All backends were lost: whichever comes back is as good as another that was not tried. */
  forgiveAll(): void {
    this.#forgiven = this.tried.length;
  }

  /** The session's backend while it may serve it: draining or of weight 0 it keeps its sessions, disabled or down not. */
  get sticksTo(): Backend | undefined {
    const backend = this.session;
    if (!backend?.inPool || !backend.usable || backend.state === "disabled") return undefined;
    return this.hasTried(backend) ? undefined : backend;
  }
}
