/** Requests to an authority, with limits of time and bytes. The ACME library's own requests have none, and are repeated. */

import { messageOf } from "../../errors.ts";
import type { Clock } from "../../net/clock.ts";
import { VERSION } from "../../version.ts";
import { AcmeError } from "./errors.ts";
import { retryAfterMs } from "./retry_after.ts";

/** A response, in the form that the ACME library expects. */
export interface AcmeResponse {
  readonly status: number;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** An object of JSON, or the text of a certificate. */
  readonly data: unknown;
}

export interface TransportOptions {
  /** An authority to trust beside the built-in ones, in PEM. */
  readonly ca: string | undefined;
  /** Ends every request. */
  readonly stop: AbortSignal;
  readonly clock: Clock;
}

/** The longest time for one request, from the connection to the last byte of the response. */
const REQUEST_MS = 20_000;
/** Chains of certificates have a few thousand bytes. */
const MAX_BODY_BYTES = 256 * 1024;
/** How much of an authority's explanation is passed on. */
const MAX_DETAIL = 300;

const CERTIFICATE_TYPE = "application/pem-certificate-chain";
const PROBLEM_PREFIX = "urn:ietf:params:acme:error:";

/** The connections for one order. */
export class Transport implements Disposable {
  readonly #options: TransportOptions;
  readonly #client: Deno.HttpClient;
  /** What the last response said of when to ask again. */
  retryAfterMs: number | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#client = Deno.createHttpClient(options.ca === undefined ? {} : { caCerts: [options.ca] });
  }

  /**
   * Sends a request; `data` is sent as JSON. A refused nonce is a response; the library tries that again.
   *
   * @throws {AcmeError} when there is no response, it makes no sense, or it refuses the request
   */
  async request(url: unknown, method: string, data: unknown): Promise<AcmeResponse> {
    // Whatever the directory says: the key of the account signs what goes there.
    if (typeof url !== "string" || URL.parse(url)?.protocol !== "https:") {
      throw new AcmeError(`the authority names a URL that is not https: ${shortened(String(url))}`);
    }
    const { stop, clock } = this.#options;
    const limit = new AbortController();
    const end = () => limit.abort(stop.reason);
    const late = new AcmeError(`no whole response in ${REQUEST_MS / 1000} s from ${url}`, { concernsAll: true });
    const cancel = clock.after(REQUEST_MS, () => limit.abort(late));
    stop.addEventListener("abort", end);
    try {
      stop.throwIfAborted();
      return await this.#fetched(url, method, data, limit.signal);
    } catch (error) {
      if (limit.signal.aborted) throw limit.signal.reason;
      if (error instanceof AcmeError) throw error;
      throw new AcmeError(`${url} can't be asked: ${reasonOf(error)}`, { cause: error, concernsAll: true });
    } finally {
      cancel();
      stop.removeEventListener("abort", end);
    }
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #fetched(url: string, method: string, data: unknown, signal: AbortSignal): Promise<AcmeResponse> {
    const init: RequestInit & { readonly client: Deno.HttpClient } = {
      method: method.toUpperCase(),
      headers: { "content-type": "application/jose+json", "user-agent": `roundhouse/${VERSION}` },
      body: data === undefined ? null : JSON.stringify(data),
      redirect: "manual", // a signature holds for one URL
      client: this.#client,
      signal,
    };
    const response = await fetch(url, init);
    const headers = Object.fromEntries(response.headers);
    this.retryAfterMs = retryAfterMs(headers["retry-after"], this.#options.clock.now());
    const text = await limitedText(response, url, signal);
    if (response.status >= 300) return this.#refused(response, headers, text, method.toUpperCase() !== "POST");
    const isText = method === "head" || headers["content-type"]?.startsWith(CERTIFICATE_TYPE) === true;
    return { status: response.status, headers, data: isText ? text : objectIn(text, url) };
  }

  /** `concernsAll`: the authority refuses whatever it is asked. */
  #refused(
    { url, status }: Response,
    headers: Record<string, string>,
    text: string,
    concernsAll: boolean,
  ): AcmeResponse {
    const { type, detail } = problemIn(text);
    if (type === "badNonce") return { status, headers, data: { type: `${PROBLEM_PREFIX}${type}`, detail } };
    const why = [type, detail].filter((part) => part !== undefined).join(": ");
    throw new AcmeError(`${url} answers ${status}${why && `, ${why}`}`, {
      problem: type,
      retryAfterMs: this.retryAfterMs,
      concernsAll: concernsAll || status >= 500,
    });
  }
}

/**
 * Reads the body. The signal of a request alone does not always end that.
 *
 * @throws {AcmeError} for a longer one
 */
async function limitedText({ body }: Response, url: string, signal: AbortSignal): Promise<string> {
  const reader = body?.getReader();
  const end = () => void reader?.cancel().catch(() => {}); // it has failed already
  signal.addEventListener("abort", end);
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  try {
    while (true) {
      const { value } = await reader?.read() ?? {};
      signal.throwIfAborted();
      if (value === undefined) return text + decoder.decode();
      bytes += value.length;
      if (bytes > MAX_BODY_BYTES) throw new AcmeError(`${url} sends more than ${MAX_BODY_BYTES / 1024} KiB`);
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

/** @throws {AcmeError} when it is none */
function objectIn(text: string, url: string): Record<string, unknown> {
  const value = parsed(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AcmeError(`${url} does not answer as an ACME server: ${shortened(JSON.stringify(text))}`);
  }
  return value as Record<string, unknown>; // checked just now
}

function problemIn(text: string): { readonly type: string | undefined; readonly detail: string | undefined } {
  const value = parsed(text);
  const { type, detail } = typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
  return {
    type: typeof type === "string" && type.startsWith(PROBLEM_PREFIX)
      ? shortened(type.slice(PROBLEM_PREFIX.length))
      : undefined,
    detail: typeof detail === "string" ? shortened(detail) : undefined,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function shortened(text: string): string {
  return text.length > MAX_DETAIL ? `${text.slice(0, MAX_DETAIL)}…` : text;
}

/** The runtime's message repeats the URL; what its cause says is enough. */
function reasonOf(error: unknown): string {
  return messageOf(error instanceof TypeError && error.cause !== undefined ? error.cause : error);
}
