/** One client's connection to a guarded server: request after request, each answered before the next is read. */

import { Buffer } from "node:buffer";
import { messageOf } from "../errors.ts";
import { CR, LF } from "../http1/characters.ts";
import { findHeadEnd } from "../http1/head.ts";
import { MalformedMessage } from "../http1/malformed.ts";
import { checkBeginning, type Http1Request, readRequestHead } from "../http1/request_head.ts";
import type { Log } from "../log.ts";
import type { AcceptedConnection } from "./acceptor.ts";
import { ClientLeft, Outlet, writeAnswer } from "./answer.ts";
import { Deadline } from "./deadline.ts";
import { type Incoming, IncomingBody } from "./incoming.ts";
import { Intake } from "./intake.ts";

/** How long a client may take. 0: no limit. */
export interface GuardLimits {
  /** For the head of a request, and as long again for its body. */
  readonly headerMs: number;
  /** Between requests, and before the first. */
  readonly keepAliveMs: number;
  /** While it reads nothing of a response. */
  readonly idleMs: number;
  /** The most connections; more clients wait in the kernel's accept queue. */
  readonly maxConnections: number;
  /** Of a head. */
  readonly maxHeaderBytes: number;
}

/** The response to something that is not a request. */
export type Refuse = (status: 400 | 408 | 431, detail: string) => Response;

/** What the connections of one server share. */
export interface GuardedShare {
  readonly limits: GuardLimits;
  readonly log: Log;
  /** Answers a request. */
  readonly handle: (incoming: Incoming) => Promise<Response>;
  readonly refuse: Refuse;
  /** Whether HTTP/1.1 without `Host` is refused here; otherwise `handle` must check it. */
  readonly needsHost: boolean;
  /** Called when a connection has been answered, and when it begins to wait. */
  readonly changed: () => void;
  /** Connections that wait for the head of a request or the rest of it, ordered by how long they have waited. */
  readonly waiting: Set<GuardedConnection>;
  /** Connections with a request that has not been answered. */
  readonly answering: Set<GuardedConnection>;
}

/** After a response to a request that was not read to its end, how long the client may still send before it is cut. */
const LINGER_MS = 1000;

const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

export class GuardedConnection {
  /** When it was accepted or last answered, by `performance.now()`. */
  waitsSince = 0;
  readonly #share: GuardedShare;
  readonly #accepted: AcceptedConnection;
  readonly #intake: Intake;
  readonly #outlet: Outlet;
  /** The limit for what the client must send. */
  readonly #deadline = new Deadline();
  #closed = false;
  /** Fires for the request that is being answered. */
  #left: AbortController | undefined;

  constructor(accepted: AcceptedConnection, share: GuardedShare) {
    this.#accepted = accepted;
    this.#share = share;
    const { link } = accepted;
    this.#intake = new Intake(link, share.limits.maxHeaderBytes + 1, () => this.#left?.abort());
    this.#outlet = new Outlet(link, () => this.#share.limits.idleMs, () => this.close());
  }

  /** Serves until the connection has ended. Never rejects. */
  async serve(): Promise<void> {
    try {
      if (await this.#serveAll()) await this.#linger();
    } catch (error) {
      if (!(error instanceof ClientLeft)) this.#share.log.error("answer failed", { error: messageOf(error) });
    }
    this.close();
  }

  /** Closes it at once; later calls do nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadline.stop();
    this.#share.waiting.delete(this);
    this.#left?.abort();
    try {
      this.#accepted.link.close();
    } catch {
      // it is closed already
    }
  }

  /** Returns whether the client has yet to read the last response. */
  async #serveAll(): Promise<boolean> {
    while (true) {
      const head = await this.#nextHead();
      if (head === undefined) return false;
      if (head instanceof Response) {
        await writeAnswer(head, { method: "GET", minorVersion: 1, keep: false }, this.#outlet);
        return true;
      }
      if (!await this.#serveOne(head)) return true;
    }
  }

  /**
   * The head of the next request, or the response to something else; `undefined`: the client left, or idled too long.
   */
  async #nextHead(): Promise<Http1Request | Response | undefined> {
    this.#beginToWait();
    try {
      return await this.#readHead();
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      return this.#share.refuse(error.tooLarge ? 431 : 400, error.message);
    } finally {
      this.#deadline.stop();
      this.#share.waiting.delete(this);
    }
  }

  #beginToWait(): void {
    const { waiting, limits, changed } = this.#share;
    this.waitsSince = performance.now();
    waiting.add(this);
    this.#deadline.start(limits.keepAliveMs, () => this.close());
    changed();
  }

  /** @throws {MalformedMessage} */
  async #readHead(): Promise<Http1Request | Response | undefined> {
    const { limits, refuse, needsHost } = this.#share;
    const intake = this.#intake;
    let begun = false;
    let late = false;
    for (let seen = 0; !this.#closed; await intake.more()) {
      if (this.#skipEmptyLines()) seen = 0;
      const end = findHeadEnd(intake.bytes, intake.start, intake.start + seen, intake.end);
      seen = intake.unread;
      if ((end === -1 ? seen : end - intake.start) > limits.maxHeaderBytes) {
        throw new MalformedMessage("The request's head is too large.", { tooLarge: true });
      }
      if (end !== -1) {
        const { start } = intake;
        intake.start = end;
        return readRequestHead(intake.bytes, start, end, needsHost);
      }
      if (late) return refuse(408, "The request's head did not arrive in time.");
      if (intake.ended) return undefined;
      if (seen === 0 || (seen === 1 && intake.bytes[intake.start] === CR)) continue; // may begin an empty line
      checkBeginning(intake.bytes, intake.start, intake.end);
      if (begun) continue;
      begun = true;
      this.#deadline.start(limits.headerMs, () => {
        late = true;
        intake.wake();
      });
    }
    return undefined;
  }

  /** Skips empty lines before a request line (RFC 9112 §2.2). Returns whether there were any. */
  #skipEmptyLines(): boolean {
    const intake = this.#intake;
    const { start } = intake;
    while (intake.unread >= 2 && intake.bytes[intake.start] === CR && intake.bytes[intake.start + 1] === LF) {
      intake.start += 2;
    }
    return intake.start > start;
  }

  /** Returns whether another request may follow. */
  async #serveOne(head: Http1Request): Promise<boolean> {
    const { handle, answering, changed } = this.#share;
    const left = this.#left = new AbortController();
    if (this.#closed || this.#intake.ended) left.abort();
    const body = this.#bodyOf(head);
    const { peer, local } = this.#accepted;
    answering.add(this);
    try {
      const response = await handle({ head, peer, local, body, signal: left.signal });
      // A body without a length may be an endless stream. A stop does not wait for it.
      if (response.body !== null && !response.headers.has("content-length")) {
        answering.delete(this);
        changed();
      }
      const keep = head.keepAlive && (body === undefined || body.skip());
      return await writeAnswer(response, { method: head.method, minorVersion: head.minorVersion, keep }, this.#outlet);
    } finally {
      answering.delete(this);
      changed();
      this.#left = undefined;
    }
  }

  #bodyOf({ framing, fields, minorVersion }: Http1Request): IncomingBody | undefined {
    if (framing.kind === "length" && framing.bytes === 0) return undefined;
    const waits = minorVersion === 1 && fields.some(([name, value]) => {
      return name.toLowerCase() === "expect" && value.toLowerCase() === "100-continue";
    });
    return new IncomingBody(framing, {
      intake: this.#intake,
      limitMs: this.#share.limits.headerMs,
      // If this fails, the client has left. Reading its body notices that.
      invite: waits ? () => this.#outlet.write(CONTINUE).catch(() => this.close()) : undefined,
    });
  }

  /**
   * Ends the sending side and gives the client time to read. If the connection were closed with bytes unread, it would
   * be reset, and the response would be lost (RFC 9112 §9.6).
   */
  async #linger(): Promise<void> {
    const intake = this.#intake;
    if (this.#closed || intake.ended) return;
    this.#deadline.start(LINGER_MS, () => this.close());
    await this.#accepted.link.closeWrite().catch(() => {}); // may be closed already
    while (!intake.ended) {
      intake.start = intake.end;
      await intake.more();
    }
  }
}
