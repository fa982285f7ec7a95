/** Asks servers on behalf of guards, whichever engine moves the requests themselves: a GET over a kept connection. */

import { Buffer } from "node:buffer";
import { messageOf } from "../../../errors.ts";
import { connectTimeout, responseTimeout } from "../../../failures.ts";
import { type Answered, MOST_ANSWER_BYTES, type Question, type Questions } from "../../../guards/questions.ts";
import { type BodyReader, bodyReader } from "../../../http1/body_reader.ts";
import { MalformedMessage } from "../../../http1/malformed.ts";
import type { Http1Response } from "../../../http1/response_head.ts";
import type { Log } from "../../../log.ts";
import { CollectedBytes } from "../../../net/collected_bytes.ts";
import { RareLine } from "../../../net/rare_line.ts";
import type { ReachedServer } from "../../../pool/backend_address.ts";
import type { ServerPools } from "../../../pool/server_pools.ts";
import { explain, NoAnswer, ResponseBroken } from "../failures.ts";
import type { InletWaiter } from "../inlet.ts";
import { Timed, TimeoutQueue } from "../timeouts.ts";
import type { BackendConnection } from "./backend_connection.ts";
import { BackendConnections } from "./backend_connections.ts";

const MOST_HEAD_BYTES = 64 * 1024;

/** Enough for most answers. Very many requests may be held while a server does not answer. */
const ROOM = { inBytes: 4 * 1024, outBytes: 0 };

/** More 1xx before an answer are refused as malformed. */
const MOST_INFORMATIONAL = 16;

/** Owns the connections of one isolate. */
export class ServerQuestions implements Questions, Disposable {
  readonly #connections: BackendConnections;
  /** A clock for each limit of time. */
  readonly #clocks = new Map<number, TimeoutQueue>();
  readonly #failures: RareLine;
  readonly #open = new Set<Asking>();
  #disposed = false;

  constructor(pools: ServerPools, log: Log) {
    this.#connections = new BackendConnections(pools, ROOM);
    this.#failures = new RareLine((reason, times) => log.warn("auth server failed", { reason, times }));
  }

  ask(question: Question, signal: AbortSignal, ended: () => void): Promise<Answered> {
    return new Promise((resolve, rejectWith) => {
      const reject = (error: unknown) => {
        const isTold = !signal.aborted && !this.#disposed;
        if (isTold) this.#failures.happened(`${question.server.origin}: ${messageOf(error)}`);
        rejectWith(error);
      };
      const end = () => {
        this.#open.delete(asking);
        ended();
      };
      const asking = new Asking(question, this.#connections, { resolve, reject, ended: end });
      this.#open.add(asking);
      if (this.#disposed) asking.breakOff();
      asking.run(this.#clock(question.timeoutMs), signal);
    });
  }

  leave(server: ReachedServer): void {
    this.#connections.leave(server);
  }

  /** Ends all questions. Later calls do nothing. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const asking of this.#open) asking.breakOff();
    this.#connections.close();
    for (const clock of this.#clocks.values()) clock.close();
    this.#failures.close();
  }

  #clock(limitMs: number): TimeoutQueue {
    let clock = this.#clocks.get(limitMs);
    if (clock === undefined) {
      for (const [limit, other] of this.#clocks) if (!other.running) this.#clocks.delete(limit); // a reload may change it
      this.#clocks.set(limitMs, clock = new TimeoutQueue(limitMs, { startsAnew: true }));
    }
    return clock;
  }
}

interface AskingListener {
  resolve(answer: Answered): void;
  reject(error: unknown): void;
  /** The connection is free or closed. */
  ended(): void;
}

/** One question. Owns its connection to the end of the answer. Its clock is the limit for all of it. */
class Asking extends Timed implements InletWaiter {
  readonly #question: Question;
  readonly #connections: BackendConnections;
  readonly #listener: AskingListener;
  readonly #dialing = new AbortController();
  #signal: AbortSignal | undefined;
  #connection: BackendConnection | undefined;
  #connected = false;
  #reused = false;
  #informational = 0;
  #head: Http1Response | undefined;
  #body: BodyReader | undefined;
  /** What has arrived of a body that is wanted. */
  #collected: CollectedBytes | undefined;
  #timedOut = false;
  #answered = false;
  #ended = false;

  constructor(question: Question, connections: BackendConnections, listener: AskingListener) {
    super();
    this.#question = question;
    this.#connections = connections;
    this.#listener = listener;
  }

  run(clock: TimeoutQueue, signal: AbortSignal): void {
    if (signal.aborted || this.#dialing.signal.aborted) return this.#fail(new NoAnswer());
    signal.addEventListener("abort", this.breakOff);
    this.#signal = signal;
    clock.start(this);
    const idle = this.#connections.takeIdle(this.#question.server, true);
    if (idle === undefined) return void this.#runAnew();
    this.#reused = true;
    this.#converse(idle);
  }

  timedOut(): void {
    this.#timedOut = true;
    this.breakOff();
  }

  /** More of the answer has arrived, or the connection has ended. */
  moreCame(): void {
    const connection = this.#connection;
    if (connection === undefined) return; // it waits only while it has one
    try {
      if (this.#head === undefined) this.#readHead(connection);
      if (this.#head !== undefined && this.#readBody(connection)) return;
      connection.inlet.waitFor(this);
    } catch (error) {
      this.#failed(connection, error);
    }
  }

  /** Ends the question, which fails. */
  readonly breakOff = (): void => {
    this.#dialing.abort();
    this.#connection?.close(); // what waits at the inlet then learns that it has ended
  };

  async #runAnew(): Promise<void> {
    try {
      const connection = await this.#connections.connect(this.#question.server, this.#dialing.signal);
      if (this.#dialing.signal.aborted) connection.close();
      this.#converse(connection);
    } catch (error) {
      this.#fail(error);
    }
  }

  #converse(connection: BackendConnection): void {
    this.#connected = true;
    this.#connection = connection;
    connection.post(Buffer.from(`${this.#question.head}\r\n`, "latin1"));
    this.moreCame();
  }

  #readHead(connection: BackendConnection): void {
    while (this.#head === undefined) {
      const head = connection.readHead("GET", MOST_HEAD_BYTES);
      if (head === undefined) {
        if (connection.inlet.ended) throw new NoAnswer();
        return;
      }
      const { status } = head;
      if (status === 101 || status > 599) throw new MalformedMessage(`status ${status}`);
      if (status >= 200) this.#accept(head);
      else if (++this.#informational > MOST_INFORMATIONAL) throw new MalformedMessage("too many 1xx");
    }
  }

  #accept(head: Http1Response): void {
    this.#head = head;
    this.#body = bodyReader(head.framing, MOST_HEAD_BYTES);
    if (isSuccess(head)) this.#answer(head);
    else this.#collected = new CollectedBytes(MOST_ANSWER_BYTES);
  }

  /** Reads what has arrived of the body. Returns whether that was the end of it. */
  #readBody(connection: BackendConnection): boolean {
    const [head, body] = [this.#head, this.#body];
    if (head === undefined || body === undefined) return false;
    const { inlet } = connection;
    if (!body.done) inlet.start = body.read(inlet.bytes, inlet.start, inlet.end, this.#keep);
    const isTooLong = body.dataBytes >= MOST_ANSWER_BYTES && !body.done;
    const isWhole = body.done || (inlet.ended && inlet.error === undefined && head.framing.kind === "until-close");
    if (!isWhole && !isTooLong) {
      if (inlet.ended) throw new ResponseBroken();
      return false;
    }
    this.#answer(head);
    this.#release(body.done && head.keepAlive);
    return true;
  }

  readonly #keep = (bytes: Uint8Array, from: number, to: number): void => {
    const room = this.#collected?.room ?? 0;
    this.#collected?.add(bytes.subarray(from, Math.min(to, from + room)));
  };

  #answer({ status, reason, fields }: Http1Response): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#listener.resolve({ status, reason, headers: fields, body: this.#collected?.bytes ?? new Uint8Array() });
  }

  #release(reusable: boolean): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (reusable && connection !== undefined) {
      connection.inlet.narrow(); // the head may have been long
      this.#connections.giveBack(connection);
    } else connection?.close();
    this.#end();
  }

  /** The connection has failed. One that was kept may have been closed by the server at the same moment: asks anew. */
  #failed(connection: BackendConnection, error: unknown): void {
    this.#connection = undefined;
    connection.close();
    const isStale = this.#reused && error instanceof NoAnswer && connection.inlet.unread === 0;
    if (!isStale || this.#informational > 0 || this.#dialing.signal.aborted) return this.#fail(error);
    this.#reused = this.#connected = false;
    void this.#runAnew();
  }

  #fail(error: unknown): void {
    if (!this.#answered) this.#listener.reject(this.#explain(error));
    this.#answered = true;
    this.#end();
  }

  #explain(error: unknown): unknown {
    if (!this.#timedOut) {
      return explain(error, this.#signal?.aborted === false ? undefined : "client_gone", undefined, "");
    }
    return this.#connected ? responseTimeout() : connectTimeout(false);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.stopClock();
    this.#signal?.removeEventListener("abort", this.breakOff);
    this.#listener.ended();
  }
}

function isSuccess({ status }: Http1Response): boolean {
  return status >= 200 && status <= 299;
}
