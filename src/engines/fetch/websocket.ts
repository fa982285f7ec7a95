/** WebSockets through the `fetch` engine: one to the client, one to the backend, messages carried across. */

import { messageOf, ProxyError } from "../../errors.ts";
import type { Backend } from "../../pool/backend.ts";
import type { Exchange, Relayed } from "../../proxy/exchange.ts";
import { clientGone } from "../../proxy/failures.ts";
import type { HeaderPair, ResponseHead } from "../../proxy/message.ts";
import { CLIENT_GONE, type Problem } from "../../proxy/problem.ts";
import { Bridge } from "./bridge.ts";
import { type FetchContext, refusalOf, refuse, UNSEEN } from "./exchange.ts";
import { fromFetchError, fromHandshakeError, refusedStatus } from "./fetch_error.ts";
import type { FetchRequestHead } from "./request_head.ts";
import { urlFor } from "./target_url.ts";

/** A client that leaves this long without a sign of life is gone; a ping asks for one. */
const PING_SECONDS = 120;

/** What a backend said to the handshake: a socket, or the status of its refusal. */
interface Handshake extends ResponseHead {
  readonly socket?: WebSocket;
  /** Whose socket it is. */
  readonly backend?: Backend;
  /** Messages that came before the client's side was open. */
  readonly early?: MessageEvent["data"][];
}

/** One WebSocket. The lease lasts until both sides have closed. */
export class WebSocketExchange implements Exchange<Handshake> {
  readonly refusal: ProxyError | undefined;
  readonly bodyReplayable = true;
  readonly informed = false;
  readonly bytesIn = null;

  constructor(
    readonly request: FetchRequestHead,
    readonly upgrade: Request,
    readonly completed: Promise<void>,
    readonly context: FetchContext,
    readonly respond: (response: Response) => void,
  ) {
    this.refusal = context.stopping ? refuse("stopping", "The proxy is shutting down.") : refusalOf(request);
  }

  get brokenOff(): ProxyError | undefined {
    return this.upgrade.signal.aborted ? clientGone() : undefined;
  }

  async attempt(backend: Backend, headers: HeaderPair[]): Promise<Handshake> {
    const attempt = new AbortController();
    const giveUp = () => attempt.abort();
    const waiter = { limitPassed: giveUp };
    const limit = this.context.responseDeadline.start(waiter);
    this.upgrade.signal.addEventListener("abort", giveUp);
    try {
      const outcome = await this.#shakeHands(backend, headers, attempt.signal);
      if (typeof outcome !== "string") return outcome;
      const status = refusedStatus(outcome);
      if (status !== undefined) return { status, headers: [] };
      if (backend.origin.startsWith("https:")) return await this.#askAgain(backend, headers, attempt.signal);
      throw fromHandshakeError(outcome);
    } catch (error) {
      if (this.upgrade.signal.aborted) throw clientGone();
      throw attempt.signal.aborted ? handshakeTimeout() : error;
    } finally {
      limit.leave(waiter);
      this.upgrade.signal.removeEventListener("abort", giveUp);
    }
  }

  async relay({ status, backend, socket, early = [] }: Handshake, headers: HeaderPair[]): Promise<Relayed> {
    if (socket === undefined) {
      this.respond(new Response(null, { status, headers }));
      await this.completed.catch(() => {}); // an end like any other
      return UNSEEN;
    }
    // A client that left between the two handshakes would leave a socket that neither opens nor closes.
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
    const leave = backend?.joinLasting(bridge);
    await bridge.ended;
    leave?.();
    this.context.bridges.delete(bridge);
    return UNSEEN;
  }

  discard({ socket }: Handshake): void {
    if (socket !== undefined) abandon(socket);
  }

  async answer(problem: Problem): Promise<void> {
    this.respond(new Response(problem.body, { status: problem.status, headers: [...problem.headers] }));
    await this.completed.catch(() => {}); // an end like any other
  }

  /**
   * Opens the client's side, with the subprotocol that the backend chose. The runtime finds that only in a list with a
   * space behind each comma, which clients need not put there; so it is shown a list of this one.
   */
  #accept(backend: WebSocket): Deno.WebSocketUpgrade {
    const { protocol } = backend;
    try {
      if (protocol === "") return Deno.upgradeWebSocket(this.upgrade, { idleTimeout: PING_SECONDS });
      const headers = new Headers(this.upgrade.headers);
      headers.set("sec-websocket-protocol", protocol);
      // A copy by `new Request` would have lost the connection.
      const request: Request = Object.create(this.upgrade, { headers: { value: headers } });
      return Deno.upgradeWebSocket(request, { idleTimeout: PING_SECONDS, protocol });
    } catch (error) {
      abandon(backend); // nobody else would ever close it
      throw error;
    }
  }

  /** Resolves with a socket that has opened, or with what the runtime says of one that did not. */
  #shakeHands(backend: Backend, headers: HeaderPair[], signal: AbortSignal): Promise<Handshake | string> {
    const { promise, resolve } = Promise.withResolvers<Handshake | string>();
    const socket = this.#dial(backend, headers);
    const early: MessageEvent["data"][] = [];
    socket.onmessage = ({ data }) => early.push(data);
    socket.onopen = () => resolve({ status: 101, headers: [], socket, backend, early });
    socket.onerror = (event) => resolve(event instanceof ErrorEvent ? event.message : "");
    const giveUp = () => socket.close();
    signal.addEventListener("abort", giveUp);
    return promise.finally(() => signal.removeEventListener("abort", giveUp));
  }

  /**
   * Over TLS the runtime tells nothing of a handshake that failed: not the status, not whether there was a connection
   * (it goes on to HTTP/2, and tells of that). So the same is asked once more in a way that shows it.
   */
  async #askAgain(backend: Backend, headers: readonly HeaderPair[], signal: AbortSignal): Promise<ResponseHead> {
    const handshake: HeaderPair[] = [["connection", "Upgrade"], ["upgrade", "websocket"], ...headers];
    const answered = new AbortController();
    try {
      const { status } = await fetch(urlFor(backend, this.request.target), {
        headers: handshake,
        redirect: "manual",
        signal: AbortSignal.any([signal, answered.signal]),
        client: this.context.clients.fresh(backend),
      });
      if (status >= 200 && status <= 599) return { status, headers: [] };
    } catch (error) {
      throw fromFetchError(error);
    } finally {
      answered.abort(); //neither a body is of use, nor a tunnel
    }
    const options = { code: "malformed_response", side: "backend", requestSent: true } as const;
    throw new ProxyError("malformed response: not a valid WebSocket handshake", options);
  }

  /** The runtime makes its own `User-Agent`, key and version; a second line of each would be malformed. */
  #dial(backend: Backend, headers: readonly HeaderPair[]): WebSocket {
    const passed: HeaderPair[] = [];
    let protocols: string[] = [];
    for (const pair of headers) {
      if (pair[0] === "sec-websocket-protocol") protocols = pair[1].split(",").map((name) => name.trim());
      else if (!pair[0].startsWith("sec-websocket-") && pair[0] !== "user-agent") passed.push(pair);
    }
    const url = "ws" + urlFor(backend, this.request.target).slice("http".length);
    try {
      const client = this.context.clients.pooled(backend);
      const socket = new WebSocket(url, { headers: passed, protocols, client });
      socket.binaryType = "arraybuffer";
      return socket;
    } catch (error) {
      // The standard's constructor refuses what is no token, or the same protocol twice.
      const options = { code: "bad_request", side: "client", requestSent: false } as const;
      throw new ProxyError(`Bad WebSocket handshake: ${messageOf(error)}`, options);
    }
  }
}

/** Whether a header belongs to the handshake or the framing, which are the runtime's: the operator may set any. */
function isHandshakes(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "connection" || lower === "upgrade" || lower === "content-length" ||
    lower === "transfer-encoding" || lower.startsWith("sec-websocket-");
}

/** Closes a backend's socket that no client will listen to. */
function abandon(socket: WebSocket): void {
  socket.onmessage = null;
  socket.close();
}

function handshakeTimeout(): ProxyError {
  return new ProxyError("no response in time", { code: "response_timeout", side: "backend", requestSent: true });
}
