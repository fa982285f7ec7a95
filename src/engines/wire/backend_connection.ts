/** One connection to a backend. */

import { Buffer } from "node:buffer";
import { findHeadEnd } from "../../http1/head.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import { type Http1Response, readResponseHead } from "../../http1/response_head.ts";
import type { Backend } from "../../pool/backend.ts";
import { Inlet, type InletListener } from "./inlet.ts";
import { type Link, writeAll } from "./link.ts";
import { Timed } from "./timeouts.ts";

const IN_BYTES = 64 * 1024;

/** A client's response head is longer than the backend's by what the proxy adds; it is written in front of the body. */
const HEADROOM = 1024;

/** For a request's head and the first bytes of its body, in one write. */
const OUT_BYTES = 8 * 1024;

/** Its clock runs while it is idle. */
export class BackendConnection extends Timed implements InletListener {
  readonly backend: Backend;
  readonly link: Link;
  readonly inlet: Inlet;
  /** Scratch for heads. */
  readonly out: Buffer = Buffer.allocUnsafeSlow(OUT_BYTES);
  closed = false;
  /** Since when it is idle, in milliseconds of `performance.now()`. */
  idleSince = 0;
  /** While it is idle: told that it is of no use any more. */
  #onLost: ((connection: BackendConnection) => void) | undefined;
  readonly #onClose: (connection: BackendConnection) => void;

  /** @param onClose called once, when it is closed */
  constructor(backend: Backend, link: Link, onClose: (connection: BackendConnection) => void) {
    super();
    this.backend = backend;
    this.link = link;
    this.inlet = new Inlet(link, this, IN_BYTES, HEADROOM);
    this.#onClose = onClose;
  }

  /** Watches the connection until `leaveIdle`: a backend that closes it or talks out of turn has ended its use. */
  becomeIdle(onLost: (connection: BackendConnection) => void): void {
    this.idleSince = performance.now();
    this.#onLost = onLost;
    this.inlet.read();
  }

  leaveIdle(): void {
    this.stopClock();
    this.#onLost = undefined;
  }

  /** Writes `bytes`. Never rejects: a connection that fails tells so at the inlet. */
  async send(bytes: Uint8Array): Promise<boolean> {
    try {
      await writeAll(this.link, bytes);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Reads the head of the next response; `undefined`: the connection ended before its first byte.
   *
   * @param method of the request
   * @throws {MalformedMessage}
   */
  async readHead(method: string, maxBytes: number): Promise<Http1Response | undefined> {
    const { inlet } = this;
    let seen = 0;
    while (true) {
      const end = findHeadEnd(inlet.bytes, inlet.start, inlet.start + seen, inlet.end);
      seen = inlet.unread;
      if ((end === -1 ? seen : end - inlet.start) > maxBytes) throw new MalformedMessage("the head is too large");
      if (end !== -1) {
        const head = readResponseHead(inlet.bytes, inlet.start, end, method);
        inlet.start = end;
        return head;
      }
      if (inlet.ended && seen > 0) throw new MalformedMessage("the connection ended within the head");
      if (inlet.ended) return undefined;
      inlet.makeRoom();
      await inlet.more();
    }
  }

  /** Closes it; later calls do nothing. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopClock();
    try {
      this.link.close();
    } catch {
      // it is closed already
    }
    this.#onClose(this);
  }

  inletChanged(): void {
    this.#onLost?.(this);
  }

  timedOut(): void {
    this.#onLost?.(this);
  }
}
