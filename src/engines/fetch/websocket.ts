/** WebSockets through the `fetch` engine: one to the client, one to the backend, messages carried across. */

import { messageOf, ProxyError } from "../../errors.ts";
import type { Backend } from "../../pool/backend.ts";
import { clientGone, type Exchange, type Relayed } from "../../proxy/exchange.ts";
import type { HeaderPair, ResponseHead } from "../../proxy/message.ts";
import type { Problem } from "../../proxy/problem.ts";
import { Bridge } from "./bridge.ts";
import { type FetchContext, refuse, UNSEEN } from "./exchange.ts";
import { fromHandshakeError, refusedStatus } from "./fetch_error.ts";
import type { FetchRequestHead } from "./request_head.ts";

/** A client that leaves this long without a sign of life is gone; a ping asks for one. */
const PING_SECONDS = 120;

/** What a backend said to the handshake: a socket, or the status of its refusal. */
interface Handshake extends ResponseHead {
  readonly socket?: WebSocket;
  /** Messages that came before the client's side was open. */
  readonly early?: MessageEvent["data"][];
}

/** One WebSocket. The lease lasts until both sides have closed. */
export class WebSocketExchange implements Exchange<Handshake> {
  readonly refusal: ProxyError | undefined;
  readonly bodyReplayable = true;

  constructor(
    readonly request: FetchRequestHead,
    readonly upgrade: Request,
    readonly completed: Promise<void>,
    readonly context: FetchContext,
    readonly respond: (response: Response) => void,
  ) {
    this.refusal = context.stopping ? refuse("stopping", "The proxy is shutting down.") : undefined;
  }

  get clientGone(): boolean {
    return this.upgrade.signal.aborted;
  }

  attempt(backend: Backend, headers: HeaderPair[]): Promise<Handshake> {
    const { promise, resolve, reject } = Promise.withResolvers<Handshake>();
    const socket = this.#dial(backend, headers);
    const giveUp = () => socket.close();
    const waiter = { limitPassed: giveUp };
    const limit = this.context.responseDeadline.start(waiter);
    this.upgrade.signal.addEventListener("abort", giveUp);
    const early: MessageEvent["data"][] = [];
    socket.onmessage = ({ data }) => early.push(data);
    socket.onopen = () => resolve({ status: 101, headers: [], socket, early });
    socket.onerror = (event) => {
      const text = event instanceof ErrorEvent ? event.message : "";
      const status = refusedStatus(text);
      if (this.upgrade.signal.aborted) reject(clientGone());
      else if (limit.signal.aborted) reject(handshakeTimeout());
      else if (status !== undefined) resolve({ status, headers: [] });
      else reject(fromHandshakeError(text));
    };
    return promise.finally(() => {
      limit.leave(waiter);
      this.upgrade.signal.removeEventListener("abort", giveUp);
    });
  }

  async relay({ status, socket, early = [] }: Handshake, headers: HeaderPair[]): Promise<Relayed> {
    if (socket === undefined) {
      this.respond(new Response(null, { status, headers }));
      await this.completed.catch(() => {}); // an end like any other
      return UNSEEN;
    }
    // A client that left between the two handshakes would leave a socket that neither opens nor closes.
    if (this.upgrade.signal.aborted) {
      socket.close();
      this.respond(new Response(null, { status: 499 }));
      return UNSEEN;
    }
    const options = { idleTimeout: PING_SECONDS, ...(socket.protocol === "" ? {} : { protocol: socket.protocol }) };
    const { socket: client, response } = Deno.upgradeWebSocket(this.upgrade, options);
    const bridge = new Bridge(client, socket, early);
    this.context.bridges.add(bridge);
    this.upgrade.signal.addEventListener("abort", () => bridge.clientGone());
    this.respond(response);
    await bridge.ended;
    this.context.bridges.delete(bridge);
    return UNSEEN;
  }

  discard({ socket }: Handshake): void {
    socket?.close();
  }

  async answer(problem: Problem): Promise<void> {
    this.respond(new Response(problem.body, { status: problem.status, headers: [...problem.headers] }));
    await this.completed.catch(() => {}); // an end like any other
  }

  /** The runtime makes its own `User-Agent`, key and version; a second line of each would be malformed. */
  #dial(backend: Backend, headers: readonly HeaderPair[]): WebSocket {
    const passed: HeaderPair[] = [];
    let protocols: string[] = [];
    for (const pair of headers) {
      if (pair[0] === "sec-websocket-protocol") protocols = pair[1].split(",").map((name) => name.trim());
      else if (!pair[0].startsWith("sec-websocket-") && pair[0] !== "user-agent") passed.push(pair);
    }
    try {
      const url = "ws" + backend.origin.slice("http".length) + backend.basePath + this.request.target;
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

function handshakeTimeout(): ProxyError {
  return new ProxyError("no response in time", { code: "response_timeout", side: "backend", requestSent: true });
}
