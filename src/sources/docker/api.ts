/** What is asked of Docker: containers with a label, and events from then on. */

import * as z from "zod";
import { MAX_TIMER_MS } from "../../config/units.ts";
import type { Clock } from "../../net/clock.ts";
import { Asking, failureOf, oneLine, readAnswer } from "../asking.ts";
import { jsonLines, LostError } from "../json_lines.ts";
import { SourceError } from "../source.ts";
import { readJson } from "../text_buffer.ts";

/** For the list, and for the head of the stream of events. */
const ANSWER_LIMIT_MS = 5000;

const MAX_LIST_BYTES = 16 * 1024 * 1024;
const MAX_EVENT_BYTES = 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

/** Those that change which containers run, how they are, and how they are reached. */
const EVENTS = [
  ...["start", "die", "stop", "destroy", "pause", "unpause", "health_status", "connect", "disconnect"],
  // Podman's words for some of them.
  ...["died", "remove"],
];

const event = z.object({
  Type: z.string().default(""),
  Actor: z.object({ Attributes: z.record(z.string(), z.string()).nullish() }).nullish(),
});

const errorAnswer = z.object({ message: z.string() });

/** A label of containers, with its value. */
export interface Label {
  readonly label: string;
  readonly value: string;
}

/** Docker's API at `unix:///PATH` or `tcp://HOST:PORT`. Dispose of it to close its connections. */
export class DockerApi implements Disposable {
  readonly #origin: string;
  readonly #client: Deno.HttpClient;
  readonly #clock: Clock;

  constructor(host: string, clock: Clock) {
    const path = host.startsWith("unix://") ? host.slice("unix://".length) : undefined;
    this.#origin = path === undefined ? `http://${host.replace(/^tcp:\/\/|\/$/g, "")}` : "http://docker";
    // No connection is kept for later: one that has died would be found out too late.
    this.#client = Deno.createHttpClient({
      http2: false,
      poolMaxIdlePerHost: 0,
      ...path === undefined ? {} : { proxy: { transport: "unix", path } },
    });
    this.#clock = clock;
  }

  /** @throws {SourceError} when there is no answer */
  async list({ label, value }: Label, stop: AbortSignal): Promise<unknown> {
    using asking = new Asking({ clock: this.#clock, limitMs: ANSWER_LIMIT_MS }, stop);
    const filters = { label: [`${label}=${value}`], status: ["running"] };
    const response = await this.#ask("/containers/json", filters, asking);
    try {
      return await readJson(response.body, MAX_LIST_BYTES, asking.signal);
    } catch (error) {
      throw asking.signal.aborted ? asking.signal.reason : failureOf(error);
    }
  }

  /**
   * What happens from now on.
   *
   * @throws {SourceError} when it is refused
   */
  async openEvents(stop: AbortSignal): Promise<EventStream> {
    const asking = new Asking({ clock: this.#clock, limitMs: ANSWER_LIMIT_MS }, stop);
    try {
      const { body } = await this.#ask("/events", { type: ["container", "network"], event: EVENTS }, asking);
      asking.mayLast();
      return new EventStream(body, asking, this.#clock);
    } catch (error) {
      asking[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #ask(path: string, filters: object, { signal }: Asking): Promise<Response> {
    const url = `${this.#origin}${path}?filters=${encodeURIComponent(JSON.stringify(filters))}`;
    let response: Response;
    try {
      response = await fetch(url, { client: this.#client, redirect: "manual", signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : failureOf(error);
    }
    if (response.status !== 200) throw await refusalOf(response, signal);
    return response;
  }
}

/** The events of containers and networks. Dispose of it to close the connection. */
export class EventStream implements Disposable {
  readonly #body: ReadableStream<Uint8Array> | null;
  readonly #asking: Asking;
  readonly #clock: Clock;

  constructor(body: ReadableStream<Uint8Array> | null, asking: Asking, clock: Clock) {
    this.#body = body;
    this.#asking = asking;
    this.#clock = clock;
  }

  /**
   * Yields when containers with the label may have changed.
   *
   * @throws {LostError} when the stream has ended or was cut off
   * @throws {SourceError} when it brings what can't be believed
   */
  async *changes({ label, value }: Label): AsyncGenerator<void, never> {
    if (this.#body === null) throw new LostError("the stream of events has no body");
    const limits = {
      maxLineBytes: MAX_EVENT_BYTES,
      maxBytes: Infinity,
      silenceMs: MAX_TIMER_MS,
      clock: this.#clock,
      stop: this.#asking.signal,
    };
    for await (const line of jsonLines(this.#body, limits)) {
      const { Type, Actor } = readAnswer(event, line, "an event");
      // An event of a network does not say the labels of the container that joins it.
      if (Type !== "container" || Actor?.Attributes?.[label] === value) yield;
    }
    throw new LostError("the stream of events has ended");
  }

  [Symbol.dispose](): void {
    this.#asking[Symbol.dispose]();
    // Nobody reads it if the first list has failed. Then the end of the request does not reach it.
    if (this.#body?.locked === false) this.#body.cancel().catch(() => {});
  }
}

async function refusalOf(response: Response, stop: AbortSignal): Promise<SourceError> {
  // A body that says nothing is no reason to hide the status.
  const body = await readJson(response.body, MAX_ERROR_BYTES, stop).catch(() => undefined);
  const said = oneLine(errorAnswer.safeParse(body).data?.message ?? "");
  return new SourceError(`got status ${response.status}${said === "" ? "" : `: ${said}`}`);
}
