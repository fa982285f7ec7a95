/** Sends a copy of a request to a backend, beside the exchange of the request, and drops the answer. */

import { ProxyError } from "../../errors.ts";
import { clientGone, connectTimeout, responseTimeout } from "../../failures.ts";
import type { CopyListener, RequestCopy } from "../../proxy/exchange.ts";
import type { OpenCopy } from "../copies.ts";
import { askBackend, type BackendRequest } from "./ask_backend.ts";
import type { FetchContext } from "./context.ts";
import type { DeadlineListener, Moment, RequestDeadlines } from "./deadline.ts";
import { fromFetchError } from "./fetch_error.ts";
import { isReachable } from "./reachable.ts";
import type { FetchRequestHead } from "./request_head.ts";
import { readResponseHead } from "./response_head.ts";
import { SizedBody } from "./sized_body.ts";

/** How much of an answer is read, so that its connection can be used again. */
const MOST_DROPPED_BYTES = 1024 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;

export class FetchCopy implements DeadlineListener, OpenCopy {
  readonly #request: FetchRequestHead;
  readonly #copy: RequestCopy;
  readonly #context: FetchContext;
  readonly #listener: CopyListener;
  readonly #deadlines: RequestDeadlines;
  readonly #abort = new AbortController();
  /** Why it was aborted. */
  #why: ProxyError | undefined;
  #connectLimit: Moment | undefined;
  /** For the answer's head, then for its body. */
  #responseLimit: Moment | undefined;
  #answered = false;

  constructor(request: FetchRequestHead, copy: RequestCopy, context: FetchContext, listener: CopyListener) {
    this.#request = request;
    this.#copy = copy;
    this.#context = context;
    this.#listener = listener;
    this.#deadlines = context.deadlines.for(copy.timeouts);
  }

  async run(): Promise<void> {
    const { copies } = this.#context;
    copies.join(this);
    let failure: ProxyError | undefined;
    try {
      const response = await this.#send();
      this.#answered = true;
      this.#listener.answered(response.status);
      await this.#dropBody(response);
    } catch (error) {
      if (!this.#answered) failure = this.#why ?? (error instanceof ProxyError ? error : fromFetchError(error));
    }
    this.#stopClocks();
    copies.leave(this);
    this.#listener.ended(failure);
  }

  cut(): void {
    this.#giveUp(clientGone());
  }

  limitPassed(moment: Moment): void {
    if (moment === this.#connectLimit) void this.#checkConnection();
    else this.#giveUp(responseTimeout());
  }

  async #send(): Promise<Response> {
    const { backend, target, headers } = this.#copy;
    const { method, tracedByRuntime } = this.#request;
    this.#connectLimit = this.#deadlines.connect.start(this);
    this.#responseLimit = this.#deadlines.response.start(this);
    const response = await askBackend(backend, {
      method,
      target,
      headers,
      tracedByRuntime,
      body: this.#body,
      signal: this.#abort.signal,
    }, this.#context.clients);
    this.#stopClocks();
    readResponseHead(response); // it may be refused
    return response;
  }

  /** A stream, because `fetch` itself would send anything else twice. It has the framing of the request. */
  get #body(): BackendRequest["body"] {
    const { body } = this.#copy;
    if (body === undefined || body.length === 0) return null;
    const stream = () =>
      new ReadableStream<Bytes>({
        start(controller) {
          controller.enqueue(body);
          controller.close();
        },
      });
    return this.#request.bodyBytes === undefined ? stream() : new SizedBody(body.length, stream);
  }

  /** Reads the body, but not without end. The connection of one that has not ended is closed. */
  async #dropBody({ body }: Response): Promise<void> {
    if (body === null) return;
    this.#responseLimit = this.#deadlines.response.start(this);
    const reader = body.getReader();
    for (let dropped = 0; dropped <= MOST_DROPPED_BYTES;) {
      const { value, done } = await reader.read();
      if (done) return;
      dropped += value.length;
    }
    await reader.cancel();
  }

  async #checkConnection(): Promise<void> {
    const reachable = await isReachable(this.#copy.backend, this.#deadlines.connect.limitMs);
    if (!reachable && !this.#answered) this.#giveUp(connectTimeout(true));
  }

  #giveUp(why: ProxyError): void {
    this.#why ??= why;
    this.#abort.abort();
  }

  #stopClocks(): void {
    this.#connectLimit?.leave(this);
    this.#responseLimit?.leave(this);
    this.#connectLimit = this.#responseLimit = undefined;
  }
}
