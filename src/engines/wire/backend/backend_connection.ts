/** One connection to a backend, or to another server that is asked. */

import { Buffer } from "node:buffer";
import { findResponseHeadEnd } from "../../../http1/head.ts";
import { MalformedMessage } from "../../../http1/malformed.ts";
import { type Http1Response, readResponseHead } from "../../../http1/response_head.ts";
import type { ReachedServer } from "../../../pool/backend_address.ts";
import { Inlet, type InletListener } from "../inlet.ts";
import { closeQuietly } from "../../../net/close_quietly.ts";
import { type Link, writeAll } from "../link.ts";
import { Timed } from "../timeouts.ts";

/** The head for the client is written before the body, and is longer than the backend's head by what the proxy adds. */
const HEADROOM = 1024;

/** The buffers of a connection. */
export interface ConnectionRoom {
  /** For what arrives. A longer head makes it grow. */
  readonly inBytes: number;
  /** For a request's head and the first bytes of its body, which are sent in one write. */
  readonly outBytes: number;
}

/** For requests that are relayed, with their bodies. */
export const REQUEST_ROOM: ConnectionRoom = { inBytes: 64 * 1024, outBytes: 8 * 1024 };

/** Its clock runs while it is idle. */
export class BackendConnection extends Timed implements InletListener {
  readonly server: ReachedServer;
  readonly link: Link;
  readonly inlet: Inlet;
  /** Scratch memory for heads. */
  readonly out: Buffer;
  closed = false;
  /** Whether a write has not ended yet, or has failed. */
  sending = false;
  /** How many bytes of an incomplete head were searched. */
  #seen = 0;
  /** Called if the connection becomes useless while it is idle. */
  #onLost: ((connection: BackendConnection) => void) | undefined;
  readonly #onClose: (connection: BackendConnection) => void;

  /** @param onClose called once, when the connection is closed */
  constructor(
    server: ReachedServer,
    link: Link,
    { inBytes, outBytes }: ConnectionRoom,
    onClose: (connection: BackendConnection) => void,
  ) {
    super();
    this.server = server;
    this.link = link;
    this.inlet = new Inlet(link, this, Buffer.allocUnsafeSlow(inBytes), HEADROOM);
    this.out = Buffer.allocUnsafeSlow(outBytes);
    this.#onClose = onClose;
  }

  /**
   * Watches the connection until `leaveIdle`. If the backend closes it, or sends something without a request, it is
   * useless.
   */
  becomeIdle(onLost: (connection: BackendConnection) => void): void {
    this.#onLost = onLost;
    this.inlet.read();
  }

  leaveIdle(): void {
    this.stopClock();
    this.#onLost = undefined;
  }

  /**
   * Writes `bytes`. Returns whether that succeeded. Never rejects: a connection that fails also shows it at the inlet.
   * `sending` is true during the write.
   *
   * @param clock started again, if it runs, whenever the backend has taken a part
   */
  async send(bytes: Uint8Array, clock?: Timed): Promise<boolean> {
    this.sending = true;
    try {
      await writeAll(this.link, bytes, clock);
      this.sending = false;
      return true;
    } catch {
      return false;
    }
  }

  /** Like `send`, for callers that do not wait. */
  post(bytes: Uint8Array): void {
    this.sending = true;
    this.link.write(bytes).then((written) => {
      if (written < bytes.length) return void this.send(bytes.subarray(written));
      this.sending = false;
    }, ignore);
  }

  /**
   * Reads the head of the next response; `undefined`: it is not complete.
   *
   * @param method the method of the request
   * @throws {MalformedMessage}
   */
  readHead(method: string, maxBytes: number): Http1Response | undefined {
    const { inlet } = this;
    const end = findResponseHeadEnd(inlet.bytes, inlet.start, inlet.start + this.#seen, inlet.end);
    if (end === -1) {
      this.#seen = inlet.unread;
      if (this.#seen > maxBytes) throw new MalformedMessage("the head is too large");
      if (inlet.ended && this.#seen > 0) throw new MalformedMessage("the connection ended within the head");
      inlet.makeRoom();
      return undefined;
    }
    const head = readResponseHead(inlet.bytes, inlet.start, end, method);
    if (head.bytes > maxBytes) throw new MalformedMessage("the head is too large"); // `end` may be within the body
    inlet.start += head.bytes;
    this.#seen = 0;
    return head;
  }

  /** Closes the connection. Later calls do nothing. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopClock();
    closeQuietly(this.link);
    this.#onClose(this);
  }

  inletChanged(): void {
    this.#onLost?.(this);
  }

  timedOut(): void {
    this.#onLost?.(this);
  }
}

/** Ignores an error, because a connection that fails also shows it at the inlet. */
function ignore(): void {}
