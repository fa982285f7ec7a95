/** Backends from a server that answers with a list. It is asked again and again. */

import type { HttpDiscover } from "../config/discover/http.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import { pause } from "../net/pause.ts";
import { ListReader, MAX_LIST_BYTES } from "./backend_list.ts";
import { jittered, Pauses } from "./pauses.ts";
import { type BackendSource, SourceError, type SourceReport } from "./source.ts";
import { readText } from "./text_buffer.ts";

/** The longest time for one question, from the connection to the last byte. */
const LIMIT_MS = 5000;

/** So that many roundhouses do not ask at the same time. */
const JITTER = 0.1;

/** What an `HttpSource` works with. */
export interface HttpSourceContext {
  readonly clock: Clock;
  readonly random: () => number;
}

export class HttpSource implements BackendSource {
  readonly #url: string;
  readonly #refreshMs: number;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #reader = new ListReader();

  constructor({ url, refreshMs }: Pick<HttpDiscover, "url" | "refreshMs">, { clock, random }: HttpSourceContext) {
    this.#url = url;
    this.#refreshMs = refreshMs;
    this.#clock = clock;
    this.#random = random;
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    using client = Deno.createHttpClient({});
    const pauses = new Pauses(this.#random);
    while (!stop.aborted) {
      let pauseMs: number;
      try {
        const backends = this.#reader.read(await this.#ask(client, stop));
        if (stop.aborted) break;
        pauses.reset();
        pauseMs = jittered(this.#refreshMs, JITTER, this.#random);
        report.found(backends);
      } catch (error) {
        if (stop.aborted) break;
        pauseMs = pauses.next();
        report.failed(this.#reasonOf(error));
      }
      await pause(pauseMs, this.#clock, stop);
    }
  }

  async #ask(client: Deno.HttpClient, stop: AbortSignal): Promise<string> {
    const asking = new AbortController();
    const end = () => asking.abort(new SourceError("roundhouse is stopping"));
    const cancel = this.#clock.after(LIMIT_MS, () => {
      asking.abort(new SourceError(`no complete answer within ${LIMIT_MS / 1000} s`));
    });
    stop.addEventListener("abort", end);
    try {
      const { signal } = asking;
      const response = await fetch(this.#url, { client, signal, headers: { accept: "application/json" } });
      if (response.status === 200) return await readText(response.body, MAX_LIST_BYTES, signal);
      await response.body?.cancel();
      throw new SourceError(`got status ${response.status}, want 200`);
    } finally {
      cancel();
      stop.removeEventListener("abort", end);
    }
  }

  /** The runtime's messages have the whole URL in them, and its query may hold secrets. */
  #reasonOf(error: unknown): string {
    const cause = error instanceof TypeError && error.cause !== undefined ? error.cause : error;
    return messageOf(cause).replaceAll(this.#url, "the URL");
  }
}
