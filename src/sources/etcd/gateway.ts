/** What is asked of one etcd server, as the JSON that its gRPC gateway understands. */

import * as z from "zod";
import type { Clock } from "../../net/clock.ts";
import { Asking, failureOf, oneLine, readAnswer } from "../asking.ts";
import { jsonLines, LostError } from "../json_lines.ts";
import { SourceError } from "../source.ts";
import { readJson } from "../text_buffer.ts";
import type { KeyChange, KeyList, KeySummary } from "./key_table.ts";

/** For one question, and for a watch until it stands. */
const ANSWER_LIMIT_MS = 5000;

/** The most keys with long values need less. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

/** A watch on which nothing happens reports its progress every ten minutes. */
const SILENCE_MS = 11 * 60 * 1000;

/** Who asks. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** The keys from `key` up to `end`, without it. Both are base64. */
export interface KeyRange {
  readonly key: string;
  readonly end: string;
}

// The gateway writes 64-bit integers as text, and leaves out what is zero, empty or false.
const int64 = z.string("a number as text").regex(/^\d{1,15}$/, "a number as text").transform(Number);
const header = z.object({ revision: int64.default(0) });
const keyValue = z.object({ key: z.string(), mod_revision: int64, value: z.string().default("") });

const rangeAnswer = z.object({ header, kvs: z.array(keyValue).default([]), count: int64.default(0) });

const watchAnswer = z.object({
  result: z.object({
    created: z.boolean().default(false),
    canceled: z.boolean().default(false),
    cancel_reason: z.string().default(""),
    compact_revision: int64.default(0),
    events: z.array(z.object({ type: z.enum(["PUT", "DELETE"]).default("PUT"), kv: keyValue })).default([]),
  }).optional(),
  error: z.object({ message: z.string().default("") }).optional(),
});

const errorAnswer = z.object({ message: z.string().optional(), error: z.string().optional() });
const tokenAnswer = z.object({ token: z.string().regex(/^[!-~]+$/, "a token") });

/** A server. Dispose of it to close its connections. */
export class EtcdGateway implements Disposable {
  readonly #endpoint: string;
  readonly #credentials: Credentials | null;
  readonly #clock: Clock;
  // No connection is kept for later: one that has died would be found out too late.
  readonly #client = Deno.createHttpClient({ http2: false, poolMaxIdlePerHost: 0 });
  #token: string | undefined;

  constructor(endpoint: string, credentials: Credentials | null, clock: Clock) {
    this.#endpoint = endpoint;
    this.#credentials = credentials;
    this.#clock = clock;
  }

  /**
   * All keys, if there are at most so many; otherwise so many of them, with the true `count`.
   *
   * @throws {SourceError} when there is no answer, or one that can't be believed
   */
  async list({ key, end }: KeyRange, most: number, stop: AbortSignal): Promise<KeyList> {
    const { header, kvs, count } = await this.#range({ key, range_end: end, limit: String(most) }, stop);
    return { revision: header.revision, count, keys: kvs.map(toKey) };
  }

  /**
   * How many keys there are, and which was changed last. It takes one short answer.
   *
   * @throws {SourceError} when there is no answer, or one that can't be believed
   */
  async summary({ key, end }: KeyRange, stop: AbortSignal): Promise<KeySummary> {
    const last = { sort_order: "DESCEND", sort_target: "MOD", limit: "1", keys_only: true };
    const { header, kvs, count } = await this.#range({ key, range_end: end, ...last }, stop);
    return { revision: header.revision, count, lastChange: kvs[0]?.mod_revision ?? 0 };
  }

  /**
   * What changes from a revision on. The first news have no changes: the watch stands.
   *
   * @throws {LostError} when it has ended, was cut off, or can't begin there any more
   * @throws {SourceError} when it is refused, or brings what can't be believed
   */
  async *watch({ key, end }: KeyRange, from: number, stop: AbortSignal): AsyncGenerator<readonly KeyChange[], never> {
    using asking = new Asking({ clock: this.#clock, limitMs: ANSWER_LIMIT_MS }, stop);
    const create = { key, range_end: end, start_revision: String(from), progress_notify: true };
    const response = await this.#ask("/v3/watch", { create_request: create }, asking);
    const limits = {
      maxLineBytes: MAX_ANSWER_BYTES,
      maxBytes: Infinity,
      silenceMs: SILENCE_MS,
      clock: this.#clock,
      stop: asking.signal,
    };
    if (response.body === null) throw new LostError("the watch has no body");
    for await (const value of jsonLines(response.body, limits)) {
      const { created, changes } = readNews(value);
      if (created) asking.mayLast();
      yield changes;
    }
    throw new LostError("the watch has ended");
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #range(request: object, stop: AbortSignal): Promise<z.output<typeof rangeAnswer>> {
    using asking = new Asking({ clock: this.#clock, limitMs: ANSWER_LIMIT_MS }, stop);
    const response = await this.#ask("/v3/kv/range", request, asking);
    return readAnswer(rangeAnswer, await this.#read(response, asking), "the answer");
  }

  /** The answer to a request, whose status is 200. */
  async #ask(path: string, body: object, asking: Asking): Promise<Response> {
    const known = this.#token;
    if (this.#credentials !== null) this.#token ??= await this.#logIn(this.#credentials, asking);
    let response = await this.#post(path, body, asking);
    if (response.status !== 200 && this.#credentials !== null && known !== undefined) {
      // Tokens end after some time without use, with a restart, and when users or roles change.
      await response.body?.cancel();
      this.#token = await this.#logIn(this.#credentials, asking);
      response = await this.#post(path, body, asking);
    }
    if (response.status !== 200) throw await refusalOf(response, asking.signal);
    return response;
  }

  async #logIn({ user, password }: Credentials, asking: Asking): Promise<string> {
    this.#token = undefined;
    const response = await this.#post("/v3/auth/authenticate", { name: user, password }, asking);
    if (response.status !== 200) throw await refusalOf(response, asking.signal);
    return readAnswer(tokenAnswer, await this.#read(response, asking), "the answer").token;
  }

  async #post(path: string, body: object, { signal }: Asking): Promise<Response> {
    const headers = {
      "content-type": "application/json",
      ...this.#token === undefined ? {} : { authorization: this.#token },
    };
    try {
      // Redirects are not followed: the token is for this server alone.
      return await fetch(`${this.#endpoint}${path}`, {
        method: "POST",
        client: this.#client,
        headers,
        body: JSON.stringify(body),
        redirect: "manual",
        signal,
      });
    } catch (error) {
      throw signal.aborted ? signal.reason : failureOf(error);
    }
  }

  async #read(response: Response, { signal }: Asking): Promise<unknown> {
    try {
      return await readJson(response.body, MAX_ANSWER_BYTES, signal);
    } catch (error) {
      throw signal.aborted ? signal.reason : failureOf(error);
    }
  }
}

function toKey({ key, mod_revision, value }: z.output<typeof keyValue>) {
  return { key, revision: mod_revision, value };
}

function readNews(value: unknown): { readonly created: boolean; readonly changes: readonly KeyChange[] } {
  const { result, error } = readAnswer(watchAnswer, value, "the watch");
  if (result === undefined) throw new SourceError(`the watch: ${oneLine(error?.message ?? "") || "want a result"}`);
  if (result.compact_revision > 0) throw new LostError("the revision to watch from has been compacted");
  if (result.canceled) throw new SourceError(`the watch was cancelled: ${oneLine(result.cancel_reason)}`);
  const changes = result.events.map(({ type, kv }) => type === "PUT" ? toKey(kv) : { ...toKey(kv), value: null });
  // The revision in the header is that of the store. Changes before it may be yet to come, in the next response.
  return { created: result.created, changes };
}

async function refusalOf(response: Response, stop: AbortSignal): Promise<SourceError> {
  // A body that says nothing is no reason to hide the status.
  const body = await readJson(response.body, MAX_ERROR_BYTES, stop).catch(() => undefined);
  const { message, error } = errorAnswer.safeParse(body).data ?? {};
  const said = oneLine(message ?? error ?? "");
  return new SourceError(`got status ${response.status}${said === "" ? "" : `: ${said}`}`);
}
