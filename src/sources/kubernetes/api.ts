/** What is asked of the API server: the EndpointSlices of a service, once and from then on. */

import type { Clock } from "../../net/clock.ts";
import { VERSION } from "../../version.ts";
import { Asking } from "../asking.ts";
import { jsonLines } from "../json_lines.ts";
import { SourceError } from "../source.ts";
import { readJson } from "../text_buffer.ts";
import { type Access, type AccessSettings, type Pod, readAccess } from "./access.ts";
import { type EndpointSlice, SERVICE_LABEL } from "./endpoint_slice.ts";
import { connectFailure, refusalOf } from "./refusals.ts";
import { readEvent, readPage, type WatchEvent } from "./responses.ts";

/** Whose EndpointSlices. */
export interface ServiceName {
  readonly namespace: string;
  readonly service: string;
}

/** How long a page of a list may take, and how long the head of a watch. */
const ANSWER_LIMIT_MS = 10_000;

/** Slices of one page. Each has usually up to 100 endpoints, 50 KB. */
const PAGE_SIZE = 100;
const MOST_PAGES = 64;
const MAX_PAGE_BYTES = 32 * 1024 * 1024;

/**
 * The API server ends a watch after this time, at the latest after ten seconds more. A watch that it has not ended a
 * little later has been lost on the way: a connection that is dead sends nothing, as one on which nothing happens.
 */
const WATCH_SECONDS = 30;
const WATCH_JITTER_SECONDS = 10;
const WATCH_RESERVE_MS = 5000;

const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const MAX_WATCH_BYTES = 256 * 1024 * 1024;

/** A list, and the version from which a watch continues it. */
export interface SliceList {
  readonly slices: readonly EndpointSlice[];
  readonly version: string;
}

/** What requests are made with. */
export interface ApiContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly pod: Pod;
}

/** Makes one request at a time. Dispose of it to close its client. */
export class KubernetesApi implements Disposable {
  readonly #target: ServiceName & AccessSettings;
  readonly #context: ApiContext;
  #client: { readonly http: Deno.HttpClient; readonly ca: string | null } | undefined;

  constructor(target: ServiceName & AccessSettings, context: ApiContext) {
    this.#target = target;
    this.#context = context;
  }

  /** @throws {SourceError} when there is no list, or one that can't be believed */
  async list(stop: AbortSignal): Promise<SliceList> {
    const slices: EndpointSlice[] = [];
    let next = "";
    for (let page = 1; page <= MOST_PAGES; page++) {
      const query = { limit: String(PAGE_SIZE), ...next === "" ? {} : { continue: next } };
      using asking = new Asking({ clock: this.#context.clock, limitMs: ANSWER_LIMIT_MS }, stop);
      const response = await this.#ask(query, asking);
      const read = readPage(await readBody(response, asking), this.#target.service);
      slices.push(...read.slices);
      if (read.next === "") return { slices, version: read.version };
      next = read.next;
    }
    throw new SourceError(`got more than ${MOST_PAGES} pages of EndpointSlices`);
  }

  /**
   * What changes after a version. Ends when the API server ends the watch.
   *
   * @param opened called when the API server has accepted it
   * @throws {LostError} when the connection is lost, or silent for longer than the watch should last
   * @throws {SourceError} when it can't be opened, or an event can't be believed
   */
  async *watch(version: string, stop: AbortSignal, opened: () => void): AsyncGenerator<WatchEvent, void> {
    const { clock, random } = this.#context;
    const seconds = WATCH_SECONDS + Math.floor(random() * (WATCH_JITTER_SECONDS + 1));
    using asking = new Asking({ clock, limitMs: ANSWER_LIMIT_MS }, stop);
    const response = await this.#ask({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: version,
      timeoutSeconds: String(seconds),
    }, asking);
    asking.mayLast();
    opened();
    if (response.body === null) return;
    const silenceMs = seconds * 1000 + WATCH_RESERVE_MS;
    const limits = { maxLineBytes: MAX_EVENT_BYTES, maxBytes: MAX_WATCH_BYTES, silenceMs, clock, stop: asking.signal };
    for await (const value of jsonLines(response.body, limits)) yield readEvent(value, this.#target.service);
  }

  [Symbol.dispose](): void {
    this.#client?.http.close();
    this.#client = undefined;
  }

  async #ask(query: Readonly<Record<string, string>>, { signal }: Asking): Promise<Response> {
    const access = readAccess(this.#target, this.#context.pod);
    const client = this.#clientFor(access);
    const { namespace, service } = this.#target;
    const search = new URLSearchParams({ labelSelector: `${SERVICE_LABEL}=${service}`, ...query });
    const path = `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices`;
    const headers = new Headers({ "accept": "application/json", "accept-encoding": "identity" });
    headers.set("user-agent", `roundhouse/${VERSION}`);
    if (access.token !== null) headers.set("authorization", `Bearer ${access.token}`);
    let response: Response;
    try {
      // Redirects are not followed: the token is for the API server alone.
      response = await fetch(`${access.url}${path}?${search}`, { client, headers, signal, redirect: "manual" });
    } catch (error) {
      throw connectFailure(error);
    }
    if (response.status !== 200) throw await refusalOf(response, namespace, signal);
    return response;
  }

  /** Trusts the authorities as they are now. No connection is kept: one that has died would be found out too late. */
  #clientFor({ ca }: Access): Deno.HttpClient {
    if (this.#client === undefined || this.#client.ca !== ca) {
      this[Symbol.dispose]();
      const trust = ca === null ? {} : { caCerts: [ca] };
      this.#client = { http: Deno.createHttpClient({ http2: false, poolMaxIdlePerHost: 0, ...trust }), ca };
    }
    return this.#client.http;
  }
}

async function readBody({ body }: Response, { signal }: Asking): Promise<unknown> {
  try {
    return await readJson(body, MAX_PAGE_BYTES, signal);
  } catch (error) {
    throw connectFailure(error);
  }
}
