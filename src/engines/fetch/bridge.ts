/** Joins two WebSockets: forwards their messages and their end. */

/**
 * The most bytes that may wait for one side. A limit is needed because the runtime has no back-pressure for WebSockets.
 */
const MOST_BUFFERED_BYTES = 32 * 1024 * 1024;

/** How long a side may take for the closing handshake after the other side has ended, or after it was too slow. */
const CLOSE_LIMIT_MS = 5_000;

/**
 * How long both sides may take when the proxy ends the connection. It is short because a stop or a drain waits for it.
 */
const GOODBYE_LIMIT_MS = 1_000;

// Close codes (RFC 6455 §7.4).
const NORMAL = 1000;
const GOING_AWAY = 1001;
const NO_STATUS = 1005;
const ABNORMAL = 1006;
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/**
 * Two joined WebSockets. When one ends, both end. A side that does not answer the closing handshake in time keeps its
 * connection until it closes it itself, because the runtime can't cut it. No more messages are forwarded then.
 */
export class Bridge {
  /** Settles when both sides have closed, or the time for closing is over. */
  readonly ended: Promise<void>;
  readonly #client: WebSocket;
  readonly #backend: WebSocket;
  readonly #end: () => void;
  #limit: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  #backendCode: number | undefined = INTERNAL_ERROR;
  #backendReason = "";

  /** @param early earlier messages of the backend; they are sent first, when the client's side is open */
  constructor(client: WebSocket, backend: WebSocket, early: readonly MessageEvent["data"][]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#client = client;
    this.#backend = backend;
    this.#end = () => {
      this.#over = true;
      clearTimeout(this.#limit);
      resolve();
    };
    const waiting = [...early];
    let waitingBytes = 0;
    client.binaryType = "arraybuffer";
    client.onopen = () => {
      for (const data of waiting.splice(0)) this.#send(client, data);
      if (backend.readyState === WebSocket.CLOSED) this.#sideClosed(client, this.#backendCode, this.#backendReason);
    };
    backend.onmessage = ({ data }) => {
      if (client.readyState !== WebSocket.CONNECTING) return this.#send(client, data);
      waiting.push(data);
      waitingBytes += typeof data === "string" ? data.length : data.byteLength;
      if (waitingBytes > MOST_BUFFERED_BYTES) this.#tooSlow();
    };
    client.onmessage = ({ data }) => this.#send(backend, data);
    // An error event is not handled, because a close event follows it.
    client.onclose = ({ code, reason }) => this.#sideClosed(backend, codeForBackend(code), reason);
    backend.onclose = ({ code, reason }) => {
      this.#backendCode = codeForClient(code);
      this.#backendReason = reason;
      // If the client's side is not open yet, it is not closed now. The client would not get the backend's earlier
      // messages.
      if (client.readyState !== WebSocket.CONNECTING) this.#sideClosed(client, this.#backendCode, reason);
    };
  }

  /** The client left before its side was open. Its socket has no event for that. */
  clientGone(): void {
    if (this.#client.readyState !== WebSocket.CONNECTING) return;
    if (this.#backend.readyState === WebSocket.CLOSED) return this.#end();
    this.#backend.onclose = this.#end;
    this.#endWithin(CLOSE_LIMIT_MS);
    this.#close(this.#backend, undefined, "");
  }

  /** Tells both sides that the proxy goes away, because it stops or the backend's drain has ended. */
  goAway(): void {
    clearTimeout(this.#limit);
    this.#limit = undefined; // a running limit may be longer
    this.#endWithin(GOODBYE_LIMIT_MS);
    this.#close(this.#client, GOING_AWAY, "");
    this.#close(this.#backend, codeForBackend(GOING_AWAY), "");
  }

  #send(to: WebSocket, data: string | ArrayBuffer): void {
    if (to.readyState !== WebSocket.OPEN) return;
    to.send(data);
    if (to.bufferedAmount > MOST_BUFFERED_BYTES) this.#tooSlow();
  }

  #tooSlow(): void {
    this.#endWithin(CLOSE_LIMIT_MS);
    this.#close(this.#client, TRY_AGAIN_LATER, "too slow");
    this.#close(this.#backend, codeForBackend(TRY_AGAIN_LATER), "");
  }

  #sideClosed(other: WebSocket, code: number | undefined, reason: string): void {
    if (other.readyState === WebSocket.CLOSED) {
      this.#end();
      return;
    }
    this.#close(other, code, reason);
    this.#endWithin(CLOSE_LIMIT_MS);
  }

  #endWithin(ms: number): void {
    if (!this.#over) this.#limit ??= setTimeout(this.#end, ms);
  }

  #close(socket: WebSocket, code: number | undefined, reason: string): void {
    if (code === undefined) socket.close();
    else socket.close(code, keepsReason(code) ? reason : "");
  }
}

function isOwn(code: number): boolean {
  return code >= 3000 && code <= 4999;
}

function keepsReason(code: number): boolean {
  return code === NORMAL || code === TRY_AGAIN_LATER || isOwn(code);
}

/** The nearest code that the runtime's client side can send; `undefined`: none at all. */
function codeForBackend(code: number): number | undefined {
  if (code === NORMAL || isOwn(code)) return code;
  if (code === NO_STATUS || code === ABNORMAL || code === 0) return undefined;
  return code < 2000 ? NORMAL : 3000;
}

/** The nearest code that the runtime's server side can send; `undefined`: none at all. */
function codeForClient(code: number): number | undefined {
  if (code === NORMAL || code === GOING_AWAY || (code >= INTERNAL_ERROR && code <= TRY_AGAIN_LATER) || isOwn(code)) {
    return code;
  }
  if (code === NO_STATUS) return undefined;
  if (code === ABNORMAL || code === 0) return INTERNAL_ERROR; // the backend's connection was lost
  if (code < ABNORMAL) return GOING_AWAY;
  if (code < INTERNAL_ERROR) return INTERNAL_ERROR;
  return code < 2000 ? TRY_AGAIN_LATER : 3000;
}
