/** One attempt at a backend: connects, sends the request, and reads the head of the answer. */

import { Buffer } from "node:buffer";
import type { ProxyError } from "../../../errors.ts";
import { MalformedMessage } from "../../../http1/malformed.ts";
import type { Http1Response } from "../../../http1/response_head.ts";
import { encodeHead } from "../../../http1/writer.ts";
import type { Backend } from "../../../pool/backend.ts";
import { checkBelowBase } from "../../../proxy/base_path.ts";
import type { AttemptListener, SentRequest } from "../../../proxy/exchange.ts";
import type { HeaderPair } from "../../../proxy/message.ts";
import { isSafe } from "../../../proxy/retry.ts";
import type { Clocks } from "../clocks.ts";
import type { WireContext } from "../context.ts";
import { type GivenUp, NoAnswer } from "../failures.ts";
import { requestHead } from "../heads.ts";
import type { OutgoingBody } from "../outgoing_body.ts";
import { protocolsOf } from "../request.ts";
import { Timed } from "../timeouts.ts";
import type { InletWaiter } from "../inlet.ts";
import { type AnswerOwner, WireAnswer } from "./answer.ts";
import type { BackendConnection } from "./backend_connection.ts";

/** The exchange that an attempt is made for. */
export interface AttemptOwner extends AnswerOwner {
  readonly clocks: Clocks;
  /** The request's body, if it has one. */
  readonly upload: OutgoingBody | undefined;
  /** Whether the exchange was broken off, so that nothing more may be sent. */
  readonly isBrokenOff: boolean;
  /** A 1xx other than 101 has arrived. The attempt continues when this has settled. Must not reject. */
  informationalCame(head: Http1Response): Promise<void>;
  /** The whole request was sent, with its body if it has one. */
  uploadEnded(): void;
  /** Returns the `ProxyError` for whatever ended the attempt. */
  explain(error: unknown): ProxyError;
}

/**
 * Owns its connection until the answer's body has ended. The clock runs while connecting, and while waiting for the
 * answer's head.
 */
export class Attempt extends Timed implements InletWaiter {
  /** Why it was given up; `undefined`: it was not. */
  givenUp: GivenUp | undefined;
  readonly #sent: SentRequest;
  readonly #context: WireContext;
  readonly #owner: AttemptOwner;
  readonly #listener: AttemptListener;
  #dialing: AbortController | undefined;
  #connection: BackendConnection | undefined;
  /** Whether the connection was idle before. */
  #reused = false;
  /** Whether a 1xx has arrived: the backend has begun to answer. */
  #hinted = false;
  #answered = false;

  /** @param listener told `answered`, or `failed` with a `ProxyError` */
  constructor(sent: SentRequest, listener: AttemptListener, context: WireContext, owner: AttemptOwner) {
    super();
    this.#sent = sent;
    this.#listener = listener;
    this.#context = context;
    this.#owner = owner;
  }

  /** Sends the request. The listener is told what comes of it. Call it once. */
  run(): void {
    const connection = this.#context.backends.takeIdle(this.#sent.backend, this.#isSafe);
    if (connection === undefined) return void this.#runAnew();
    this.#reused = true;
    this.#converse(connection);
  }

  /** Reads on, until the answer's head is complete. */
  moreCame(): void {
    const connection = this.#connection;
    if (connection === undefined) return; // it waits only while it has one
    let head: Http1Response | undefined;
    try {
      head = this.#readHead(connection);
      if (head !== undefined && !isInformational(head)) this.#accept(head);
    } catch (error) {
      return this.#failed(connection, error);
    }
    if (head === undefined) connection.inlet.waitFor(this);
    else if (isInformational(head)) void this.#passInformational(head).then(() => this.moreCame());
    else this.#listener.answered(new WireAnswer(head, connection, this.#owner));
  }

  /** Ends the attempt at any point. Closes its connection, so that waiting for the backend ends. */
  breakOff(): void {
    this.#dialing?.abort();
    this.#connection?.close();
  }

  /** The whole body of the request was sent. The time limit for the answer begins, unless its head has arrived. */
  bodySent(): void {
    if (!this.#answered) this.#owner.clocks.response.start(this);
  }

  /** The backend does not take the request's body. */
  bodyStuck(): void {
    // A backend that answers early may leave the rest unread. Then only its answer counts.
    if (!this.#answered) this.#giveUp("response_timeout");
  }

  /**
   * Ends the use of the connection, because the answer has ended.
   *
   * @param reusable whether the connection is at the end of an answer and the whole request was sent
   */
  release(reusable: boolean): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (reusable && connection !== undefined) this.#context.backends.giveBack(connection);
    else connection?.close();
  }

  /**
   * Like `release`, for an answer that nobody reads.
   *
   * @param reusable whether the connection may be kept if the whole answer has arrived
   */
  discard({ keepAlive, framing }: Http1Response, reusable: boolean): void {
    const inlet = this.#connection?.inlet;
    const isWhole = keepAlive && framing.kind === "length" && inlet?.unread === framing.bytes;
    if (isWhole && reusable) inlet.start = inlet.end;
    this.release(isWhole && reusable);
  }

  timedOut(): void {
    this.#giveUp(this.#dialing === undefined ? "response_timeout" : "connect_timeout");
  }

  #giveUp(why: GivenUp): void {
    this.givenUp = why;
    this.breakOff();
  }

  async #connect(): Promise<BackendConnection> {
    this.#dialing = new AbortController();
    this.#owner.clocks.connect.start(this);
    try {
      const connection = await this.#context.backends.connect(this.#sent.backend, this.#dialing.signal);
      this.givenUp = undefined; // the limit may have passed at the same moment; the connection counts
      return connection;
    } finally {
      this.#dialing = undefined;
      this.stopClock();
    }
  }

  async #runAnew(): Promise<void> {
    let connection: BackendConnection;
    this.#reused = false;
    try {
      connection = await this.#connect();
    } catch (error) {
      return this.#listener.failed(this.#owner.explain(error));
    }
    this.#converse(connection);
  }

  /** Sends the request. Reads the answer's head while the rest of the body is sent. */
  #converse(connection: BackendConnection): void {
    this.#connection = connection;
    try {
      this.#send(connection);
    } catch (error) {
      return this.#failed(connection, error);
    }
    this.moreCame();
  }

  #send(connection: BackendConnection): void {
    const { request, upload } = this.#owner;
    if (this.#owner.isBrokenOff) throw new NoAnswer();
    const { backend, target: path, headers } = this.#sent;
    const target = { method: request.method, target: targetFor(backend, path) };
    const lines = connectionLines(request.upgrade, takesTrailers(headers));
    const head = requestHead(target, headers, request.framing, lines, request.section);
    const { out } = connection;
    const length = encodeHead(head, out);
    const bytes = length === -1
      ? Buffer.from(head, "latin1") // too long for `out`
      : out.subarray(0, upload === undefined ? length : upload.takeReady(out, length));
    if (this.#owner.isBrokenOff) throw new NoAnswer(); // the first part of the body was malformed or too large
    if (upload !== undefined && !upload.done) return void this.#sendBody(connection, upload, connection.send(bytes));
    connection.post(bytes);
    this.#owner.uploadEnded();
  }

  async #sendBody(connection: BackendConnection, upload: OutgoingBody, sent: Promise<boolean>): Promise<void> {
    if (await sent && !this.#owner.isBrokenOff) await upload.run(connection);
  }

  #readHead(connection: BackendConnection): Http1Response | undefined {
    const head = connection.readHead(this.#owner.request.method, this.#context.maxHeaderBytes);
    if (head === undefined && connection.inlet.ended) {
      throw this.#hinted ? new MalformedMessage("nothing behind a 1xx") : new NoAnswer();
    }
    return head;
  }

  async #passInformational(head: Http1Response): Promise<void> {
    this.#hinted = true;
    await this.#context.pace.pause(); // a backend may send 1xx without end
    await this.#owner.informationalCame(head);
  }

  #accept(head: Http1Response): void {
    this.stopClock();
    if (head.status === 101 && !isAsked(head.upgrade, this.#owner.request.upgrade)) {
      throw new MalformedMessage("a 101 that was not requested");
    }
    this.#answered = true;
  }

  #failed(connection: BackendConnection, error: unknown): void {
    this.stopClock();
    this.#connection = undefined;
    connection.close();
    const brokenOff = this.givenUp !== undefined || this.#owner.isBrokenOff;
    // The backend may close an idle connection at the moment of its reuse. That is not a failure.
    const isStale = this.#reused && error instanceof NoAnswer;
    if (isStale && !brokenOff && this.#isSafe) void this.#runAnew();
    else this.#listener.failed(this.#owner.explain(error));
  }

  /** Whether the request changes nothing, so that the engine itself may send it again. */
  get #isSafe(): boolean {
    const { upload, request } = this.#owner;
    return upload === undefined && isSafe(request.method);
  }
}

function isInformational({ status }: Http1Response): boolean {
  return status < 200 && status !== 101;
}

/** @throws {ProxyError} when the target would lead out of the backend's base path */
function targetFor({ basePath }: Backend, target: string): string {
  if (basePath === "") return target;
  checkBelowBase(target);
  return target === "*" ? target : basePath + target;
}

/** The lines about the connection. `TE` is a hop-by-hop field, so `Connection` must name it (RFC 9110 §10.1.4). */
function connectionLines(upgrade: string | undefined, te: boolean): string {
  if (upgrade === undefined) return te ? "Connection: TE\r\n" : "";
  return `Connection: Upgrade${te ? ", TE" : ""}\r\nUpgrade: ${upgrade}\r\n`;
}

function takesTrailers(headers: readonly HeaderPair[]): boolean {
  for (const [name] of headers) {
    if (name.length === 2 && name.toLowerCase() === "te") return true;
  }
  return false;
}

/** Whether a backend switches only to protocols that the client asked for (RFC 9110 §7.8). */
function isAsked(switchedTo: string | undefined, asked: string | undefined): boolean {
  if (switchedTo === undefined || asked === undefined) return false;
  const offered = protocolsOf(asked);
  return protocolsOf(switchedTo).every((protocol) => offered.includes(protocol));
}
