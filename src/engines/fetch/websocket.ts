/** WebSockets in engine `fetch`: one to the client and one to the backend. Messages are forwarded between them. */

import { messageOf, type ProxyError } from "../../errors.ts";
import type { Backend } from "../../pool/backend.ts";
import type {
  Answer,
  AttemptListener,
  Exchange,
  Limits,
  OwnAnswer,
  Relayed,
  SentRequest,
} from "../../proxy/exchange.ts";
import { clientGone, malformedResponse, refused, responseTimeout } from "../../failures.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import { CLIENT_GONE } from "../../proxy/problem.ts";
import { Bridge } from "./bridge.ts";
import { UNSEEN } from "./answer.ts";
import type { RequestDeadlines } from "./deadline.ts";
import type { FetchContext } from "./context.ts";
import { refusalOf } from "./fetch_exchange.ts";
import { fromFetchError, fromHandshakeError, refusedStatus } from "./fetch_error.ts";
import { ownResponse } from "./own_response.ts";
import type { FetchRequestHead } from "./request_head.ts";
import { urlFor } from "./target_url.ts";

/** A client that is silent for this long, and does not answer a ping, has left. */
const PING_SECONDS = 120;

/** The backend's side of a WebSocket that has opened. */
interface OpenSocket {
  readonly socket: WebSocket;
  /** The backend that the socket belongs to. */
  readonly backend: Backend;
  /** Messages that arrived before the client's side was open. */
  readonly early: MessageEvent["data"][];
}

/** A backend's answer to the handshake: an open socket, or the status of its refusal. */
class Handshake implements Answer {
  readonly headers: HeaderPair[] = [];

  constructor(readonly exchange: WebSocketExchange, readonly status: number, readonly open?: OpenSocket) {}

  relay(headers: HeaderPair[], listener: AttemptListener): void {
    const running = this.open === undefined
      ? this.exchange.passRefusal(this.status, headers)
      : this.exchange.bridge(this.open, headers);
    running.then((relayed) => listener.relayed(relayed), (error) => listener.failed(error));
  }

  discard(): void {
    if (this.open !== undefined) abandon(this.open.socket);
  }
}

/** One WebSocket. The lease lasts until both sides have closed. */
export class WebSocketExchange implements Exchange {
  readonly replayable = true;
  readonly bytesIn = null;
  #deadlines!: RequestDeadlines; // `keepTo` is called before everything that reads it
  /** The target for the backend. */
  #target = "";
  readonly copies = undefined;

  constructor(
    readonly request: FetchRequestHead,
    readonly upgrade: Request,
    readonly completed: Promise<void>,
    readonly context: FetchContext,
    readonly respond: (response: Response) => void,
  ) {}

  get brokenOff(): ProxyError | undefined {
    return this.upgrade.signal.aborted ? clientGone() : refusalOf(this.request);
  }

  keepTo({ timeouts }: Limits): void {
    this.#deadlines = this.context.deadlines.for(timeouts);
  }

  onBreakOff(listener: () => void): void {
    this.upgrade.signal.addEventListener("abort", listener, { once: true }); // it is of no harm later
  }

  attempt(sent: SentRequest, listener: AttemptListener): void {
    this.#ask(sent).then((answer) => listener.answered(answer), (error) => listener.failed(error));
  }

  async #ask({ backend, target, headers }: SentRequest): Promise<Handshake> {
    this.#target = target;
    const attempt = new AbortController();
    const giveUp = () => attempt.abort();
    const waiter = { limitPassed: giveUp };
    const limit = this.#deadlines.response.start(waiter);
    this.upgrade.signal.addEventListener("abort", giveUp);
    try {
      const outcome = await this.#shakeHands(backend, headers, attempt.signal);
      if (typeof outcome !== "string") return outcome;
      const status = refusedStatus(outcome);
      if (status !== undefined) return new Handshake(this, status);
      if (backend.origin.startsWith("https:")) return await this.#askAgain(backend, headers, attempt.signal);
      throw fromHandshakeError(outcome);
    } catch (error) {
      if (this.upgrade.signal.aborted) throw clientGone();
      throw attempt.signal.aborted ? responseTimeout() : error;
    } finally {
      limit.leave(waiter);
      this.upgrade.signal.removeEventListener("abort", giveUp);
    }
  }

  /** The backend has refused. The client gets the same status. */
  async passRefusal(status: number, headers: HeaderPair[]): Promise<Relayed> {
    this.respond(new Response(null, { status, headers }));
    await this.completed.catch(() => {}); // it rejects if the client leaves
    return UNSEEN;
  }

  /** Opens the client's side, and forwards messages until both sides have closed. */
  async bridge({ backend, socket, early }: OpenSocket, headers: HeaderPair[]): Promise<Relayed> {
    // If the client left between the two handshakes, its socket would neither open nor close.
    if (this.upgrade.signal.aborted) {
      abandon(socket);
      this.respond(new Response(null, { status: CLIENT_GONE }));
      return { ...UNSEEN, failure: clientGone() };
    }
    const { socket: client, response } = this.#accept(socket);
    for (const [name, value] of headers) {
      if (!isHandshakes(name)) response.headers.append(name, value);
    }
    const bridge = new Bridge(client, socket, early);
    this.context.bridges.add(bridge);
    this.upgrade.signal.addEventListener("abort", () => bridge.clientGone());
    this.respond(response);
    const leave = backend.joinLasting(bridge);
    await bridge.ended;
    leave();
    this.context.bridges.delete(bridge);
    return UNSEEN;
  }

  async answer(answer: OwnAnswer): Promise<void> {
    this.respond(ownResponse(answer, this.request.method));
    await this.completed.catch(() => {}); // it rejects if the client leaves
  }

  /**
   * Opens the client's side with the subprotocol that the backend chose. The runtime finds it only in a list with a
   * space after each comma, which clients need not send. So it gets a list with this one entry.
   */
  #accept(backend: WebSocket): Deno.WebSocketUpgrade {
    const { protocol } = backend;
    try {
      if (protocol === "") return Deno.upgradeWebSocket(this.upgrade, { idleTimeout: PING_SECONDS });
      const headers = new Headers(this.upgrade.headers);
      headers.set("sec-websocket-protocol", protocol);
      // A copy made by `new Request` would not have the connection.
      const request: Request = Object.create(this.upgrade, { headers: { value: headers } });
      return Deno.upgradeWebSocket(request, { idleTimeout: PING_SECONDS, protocol });
    } catch (error) {
      abandon(backend); // nothing else would close it
      throw error;
    }
  }

  /** Resolves with an open socket, or with the runtime's message if it did not open. */
  #shakeHands(backend: Backend, headers: readonly HeaderPair[], signal: AbortSignal): Promise<Handshake | string> {
    const { promise, resolve } = Promise.withResolvers<Handshake | string>();
    const socket = this.#dial(backend, headers);
    const early: MessageEvent["data"][] = [];
    socket.onmessage = ({ data }) => early.push(data);
    socket.onopen = () => resolve(new Handshake(this, 101, { socket, backend, early }));
    socket.onerror = (event) => resolve(event instanceof ErrorEvent ? event.message : "");
    const giveUp = () => socket.close();
    signal.addEventListener("abort", giveUp);
    return promise.finally(() => signal.removeEventListener("abort", giveUp));
  }

  /**
   * Over TLS, the runtime tells neither the status of a failed handshake, nor whether there was a connection: it tries
   * HTTP/2 next, and reports only that. So the same request is sent once more with `fetch`, which shows the status.
   */
  async #askAgain(backend: Backend, headers: readonly HeaderPair[], signal: AbortSignal): Promise<Handshake> {
    const handshake: HeaderPair[] = [["connection", "Upgrade"], ["upgrade", "websocket"], ...headers];
    const answered = new AbortController();
    try {
      const { status } = await fetch(urlFor(backend, this.#target, headers), {
        headers: handshake,
        redirect: "manual",
        signal: AbortSignal.any([signal, answered.signal]),
        client: this.context.clients.fresh(backend),
      });
      if (status >= 200 && status <= 599) return new Handshake(this, status);
    } catch (error) {
      throw fromFetchError(error);
    } finally {
      answered.abort(); // neither a body nor a tunnel is needed
    }
    throw malformedResponse("not a valid WebSocket handshake");
  }

  /**
   * Opens the backend's side. The runtime adds its own `User-Agent`, key and version; a second line of one would be
   * malformed.
   */
  #dial(backend: Backend, headers: readonly HeaderPair[]): WebSocket {
    const passed: HeaderPair[] = [];
    let protocols: string[] = [];
    for (const pair of headers) {
      if (pair[0] === "sec-websocket-protocol") protocols = pair[1].split(",").map((name) => name.trim());
      else if (!pair[0].startsWith("sec-websocket-") && pair[0] !== "user-agent") passed.push(pair);
    }
    const url = "ws" + urlFor(backend, this.#target, headers).slice("http".length);
    try {
      const client = this.context.clients.pooled(backend);
      const socket = new WebSocket(url, { headers: passed, protocols, client });
      socket.binaryType = "arraybuffer";
      return socket;
    } catch (error) {
      // The constructor rejects protocols that are not tokens, or that are repeated.
      throw refused("bad_request", `Bad WebSocket handshake: ${messageOf(error)}`);
    }
  }
}

/**
 * Whether a header belongs to the handshake or the framing, which the runtime makes. The operator's rules could set
 * such a header.
 */
function isHandshakes(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "connection" || lower === "upgrade" || lower === "content-length" ||
    lower === "transfer-encoding" || lower.startsWith("sec-websocket-");
}

/** Closes a backend's socket that no client uses. */
function abandon(socket: WebSocket): void {
  socket.onmessage = null;
  socket.close();
}
