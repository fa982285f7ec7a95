/** One client's connection. Serves one request after the other: each is answered before the next is read. */

import type { ProxyError } from "../../../errors.ts";
import { findHeadEnd } from "../../../http1/head.ts";
import { MalformedMessage } from "../../../http1/malformed.ts";
import { checkBeginning, type Http1Request, readRequestHead } from "../../../http1/request_head.ts";
import { refused } from "../../../failures.ts";
import type { OwnAnswer } from "../../../proxy/exchange.ts";
import type { WireContext } from "../context.ts";
import { WireExchange } from "../wire_exchange.ts";
import type { ExchangeClient } from "../exchange_client.ts";
import { CLOSE_LINE, ownAnswer } from "../heads.ts";
import { Inlet, type InletListener } from "../inlet.ts";
import { closeQuietly } from "../../../net/close_quietly.ts";
import { type Link, writeAll } from "../link.ts";
import { readProxyHeader } from "./proxy_protocol.ts";
import { type ClientAddress, wireRequest } from "../request.ts";
import { Timed } from "../timeouts.ts";

const CR = 0x0d;
const LF = 0x0a;

/**
 * The clock runs while a head is arriving, while the connection is idle, and while the client must send more of a body.
 */
export class ClientConnection extends Timed implements ExchangeClient, InletListener {
  readonly link: Link;
  readonly inlet: Inlet;
  #address: ClientAddress;
  readonly #context: WireContext;
  #exchange: WireExchange | undefined;
  #closed = false;
  /** Whether no more requests are read. */
  #leaving = false;
  /** Whether bytes of its buffer may still be on their way to a backend. */
  #isLent = false;
  /** The answer to a head that did not arrive in time. */
  #refusing: Promise<void> | undefined;
  /** How many bytes of an incomplete head were searched. */
  #seen = 0;
  /** Whether the PROXY header is still missing, so that the client is not known. Nothing is sent until then. */
  #isUnknown = false;

  constructor(link: Link, address: ClientAddress, context: WireContext) {
    super();
    this.link = link;
    this.inlet = new Inlet(link, this, context.headBuffers.take());
    this.#address = address;
    this.#context = context;
  }

  /** Whether it waits for a request of which no byte has arrived. */
  get idle(): boolean {
    return this.#exchange === undefined && this.inlet.unread === 0;
  }

  /**
   * Serves requests until the client or the proxy ends the connection. Never rejects.
   *
   * @param options `proxyProtocol`: whether the connection begins with a header that names the client
   */
  serve({ proxyProtocol }: { readonly proxyProtocol: boolean }): Promise<void> {
    this.#context.headerTimeouts.start(this);
    return proxyProtocol ? this.#serveBehindProxy() : this.#serveAll();
  }

  send(bytes: Uint8Array, clock?: Timed): Promise<boolean> {
    return this.link.write(bytes).then(
      (written) => written === bytes.length || this.#sendRest(bytes.subarray(written), clock),
      this.#notSent,
    );
  }

  async sendInTime(bytes: Uint8Array): Promise<boolean> {
    const clock = new SendClock(this);
    (this.#exchange?.clocks ?? this.#context.clocks).idle.start(clock);
    const sent = await this.send(bytes, clock);
    clock.stopClock();
    return sent;
  }

  async answer(
    answer: OwnAnswer,
    options: { readonly withoutBody: boolean; readonly lines: string },
  ): Promise<void> {
    await this.sendInTime(ownAnswer(answer, options));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stopClock();
    closeQuietly(this.link);
  }

  inletChanged(): void {
    if (this.inlet.ended) this.#exchange?.clientLeft();
    // The next request arrives early. Read on, so that a client that leaves after it is noticed, too.
    else if (this.#exchange?.ownsInlet !== true) this.inlet.read();
  }

  timedOut(): void {
    if (this.#exchange !== undefined) return this.#exchange.cancel("body_timeout");
    if (this.#isUnknown || this.#leaving || this.inlet.unread === 0) return this.close();
    this.#leaving = true;
    this.#refusing = this.#refuse(refused("head_timeout", "The request's head did not arrive in time."));
    void this.#refusing.then(() => this.close());
  }

  async #serveBehindProxy(): Promise<void> {
    this.#isUnknown = true;
    if (!await this.#readProxyHeader()) return this.close();
    this.#isUnknown = false;
    await this.#serveAll();
  }

  /**
   * Reads the next head; `undefined`: it is not complete.
   *
   * @throws {MalformedMessage}
   */
  #readHead(): Http1Request | undefined {
    const { inlet } = this;
    if (this.#seen === 0) this.#skipEmptyLines();
    const end = findHeadEnd(inlet.bytes, inlet.start, inlet.start + this.#seen, inlet.end);
    this.#seen = inlet.unread;
    if ((end === -1 ? this.#seen : end - inlet.start) > this.#context.maxHeaderBytes) {
      throw new MalformedMessage("The request's head is too large.", { tooLarge: true });
    }
    if (end === -1) {
      this.#waitForRest();
      return undefined;
    }
    this.#seen = 0;
    this.stopClock();
    const head = readRequestHead(inlet.bytes, inlet.start, end);
    inlet.start = end;
    return head;
  }

  #waitForRest(): void {
    const { inlet } = this;
    if (this.#seen > 0) {
      if (this.#seen === 1 && inlet.bytes[inlet.start] === CR) this.#seen = 0; // may be half of an empty line
      else checkBeginning(inlet.bytes, inlet.start, inlet.end);
      if (this.queue !== this.#context.headerTimeouts) this.#context.headerTimeouts.start(this);
    }
    inlet.makeRoom();
  }

  /** Takes the client's address from the header. Returns `false` if there is no header, or no complete one in time. */
  async #readProxyHeader(): Promise<boolean> {
    const { inlet } = this;
    try {
      while (true) {
        const header = readProxyHeader(inlet.bytes, inlet.start, inlet.end);
        if (header !== undefined) {
          inlet.start = header.end;
          if (header.client !== undefined) this.#address = { ...this.#address, peer: header.client };
          return true;
        }
        if (inlet.ended) return false;
        inlet.makeRoom(); // a header of version 2 may be larger than the buffer; the reader limits its size
        await inlet.more();
      }
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#context.log.debug("connection closed", { client: this.#address.peer, reason: error.message });
      return false;
    }
  }

  /** Skips empty lines before a request line (RFC 9112 §2.2). */
  #skipEmptyLines(): void {
    const { inlet } = this;
    while (inlet.unread >= 2 && inlet.bytes[inlet.start] === CR && inlet.bytes[inlet.start + 1] === LF) {
      inlet.start += 2;
    }
  }

  /**
   * Serves all requests, and ends the connection. Pauses only between pipelined requests, and while a head arrives in
   * pieces or after empty lines. An idle connection waits here, and in no other asynchronous function: each would keep
   * its variables in memory.
   */
  async #serveAll(): Promise<void> {
    const { inlet } = this;
    const { pace } = this.#context;
    let waits = 0;
    try {
      while (!this.#closed && !inlet.ended && !this.#leaving) {
        const head = this.#readHead();
        if (head === undefined) {
          if (waits++ > 0) await pace.pause();
          await inlet.more();
          continue;
        }
        waits = 0;
        if (!await this.#serveOne(head)) break;
        if (inlet.unread > 0) await pace.pause();
      }
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.stopClock();
      await this.#refuse(refused(error.tooLarge ? "head_too_large" : "bad_request", error.message));
    }
    await this.#end();
  }

  async #end(): Promise<void> {
    if (!this.#leaving) await this.#linger();
    await this.#refusing;
    this.close();
    this.#giveBack();
  }

  /** Returns whether another request may follow. */
  async #serveOne(head: Http1Request): Promise<boolean> {
    const exchange = new WireExchange(wireRequest(head, this.#address), this, this.#context);
    this.#exchange = exchange;
    const { forwarder, admission } = this.#context;
    const story = forwarder.begin(exchange);
    const round = admission.free ? admission.begin() : await admission.wait();
    await forwarder.tell(story);
    admission.end(round);
    exchange.end();
    this.#exchange = undefined;
    this.inlet.narrow(this.#context.buffers); // the head may have been long
    if (!exchange.keepsClient || forwarder.stopping) {
      const { bodyBytes, upgrade } = exchange.request;
      this.#isLent = bodyBytes !== 0 || upgrade !== undefined;
      return false;
    }
    this.#context.keepAliveTimeouts.start(this);
    this.#context.onIdle?.();
    return true;
  }

  async #sendRest(bytes: Uint8Array, clock: Timed | undefined): Promise<boolean> {
    clock?.restartClock();
    try {
      await writeAll(this.link, bytes, clock);
      return true;
    } catch {
      return this.#notSent();
    }
  }

  readonly #notSent = (): boolean => {
    this.#exchange?.clientLeft();
    return false;
  };

  async #refuse(error: ProxyError): Promise<void> {
    await this.answer(this.#context.forwarder.refuse(error, this.#address.peer), {
      withoutBody: false,
      lines: CLOSE_LINE,
    });
  }

  /**
   * Ends the sending side, and gives the client some time to read the answer. If the connection were closed with unread
   * bytes, it would be reset and the answer lost (RFC 9112 §9.6).
   */
  async #linger(): Promise<void> {
    const { inlet } = this;
    if (this.#closed || inlet.ended) return;
    this.#leaving = true;
    this.#context.lingerTimeouts.start(this);
    await this.link.closeWrite().catch(() => {}); // the connection is closed already
    while (!inlet.ended) {
      inlet.start = inlet.end;
      await inlet.more();
      await this.#context.pace.pause();
    }
  }

  #giveBack(): void {
    const buffer = this.#isLent ? undefined : this.inlet.freed;
    if (buffer !== undefined) this.#context.headBuffers.giveBack(buffer);
  }
}

/** The time limit for an answer of the proxy itself. */
class SendClock extends Timed {
  readonly #client: ClientConnection;

  constructor(client: ClientConnection) {
    super();
    this.#client = client;
  }

  timedOut(): void {
    this.#client.close();
  }
}
