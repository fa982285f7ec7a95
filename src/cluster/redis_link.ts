/** One connection to the store. It is never mended: when it fails, its owner opens another one. */

import { isIP } from "node:net";
import type { Redis } from "ioredis";
import type { RedisTarget } from "../config/redis_url.ts";
import { messageOf } from "../errors.ts";
import { settlesWithin } from "../settles_within.ts";

/** How long a connection may take, with its first commands. */
const OPEN_MS = 2000;
/** How long a command may take. After that the connection is given up: nobody knows what a later reply belongs to. */
export const COMMAND_MS = 1000;
/** The most bytes of a reply. A document has fewer. What the other side sends may be anything. */
const MAX_REPLY_BYTES = 16 * 1024 ** 2;

/** The store has refused a command, and said why. The connection goes on. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/** The connection has failed. */
export class LinkError extends Error {
  override readonly name = "LinkError";
}

/** A reply: text, a number, nothing, or a list of replies. */
export type Reply = string | number | null | readonly Reply[];

export class RedisLink {
  readonly #redis: Redis;
  /** Why it has failed. */
  #failure: string | undefined;
  #bytes = 0;
  readonly #failed = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<void>();

  /**
   * Connects and logs in. Takes 2 s at most. The connection is closed when `cut` fires.
   *
   * @throws {LinkError} when it can't
   */
  static async open(target: RedisTarget, cut: AbortSignal): Promise<RedisLink> {
    const { Redis } = await import("ioredis"); // takes 100 ms, so it is imported only where there is a cluster
    const { host, port, tls } = target;
    const link = new RedisLink(
      new Redis({
        host,
        port,
        ...tls ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {},
        lazyConnect: true,
        protocol: 2,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        enableReadyCheck: false,
        retryStrategy: () => null,
        autoResubscribe: false,
        autoResendUnfulfilledCommands: false,
        disableClientInfo: true,
        connectTimeout: OPEN_MS,
        commandTimeout: COMMAND_MS,
        socketTimeout: 2 * COMMAND_MS,
      }),
    );
    const close = () => void link.close();
    cut.addEventListener("abort", close);
    link.failed.then(() => cut.removeEventListener("abort", close));
    try {
      if (cut.aborted) throw new LinkError("the connection was closed");
      await link.#begin(target);
      return link;
    } catch (error) {
      await link.close();
      const why = error instanceof RefusedError ? error.message : link.#failure ?? messageOf(error);
      throw new LinkError(why, { cause: error });
    }
  }

  private constructor(redis: Redis) {
    this.#redis = redis;
    redis.on("error", (error) => this.#fail(messageOf(error)));
    redis.on("end", () => this.#ended.resolve());
    redis.on("close", () => this.#fail("the connection was closed"));
    redis.on("connect", () => {
      redis.stream.on("data", (bytes: Uint8Array) => {
        this.#bytes += bytes.byteLength;
        if (this.#bytes > MAX_REPLY_BYTES) this.#fail("the reply is too large");
      });
    });
  }

  /** Resolves when it has failed or was closed, with the reason. */
  get failed(): Promise<string> {
    return this.#failed.promise;
  }

  /**
   * Sends a command. Settles within `COMMAND_MS`.
   *
   * @throws {RefusedError} when the store replies with an error
   * @throws {LinkError} when the connection fails. The store may have done what the command says
   */
  async call(command: string, ...args: readonly (string | number)[]): Promise<Reply> {
    if (this.#failure !== undefined) throw new LinkError(this.#failure);
    this.#bytes = 0;
    try {
      return await this.#redis.call(command, ...args) as Reply;
    } catch (error) {
      if (error instanceof Error && error.name === "ReplyError") throw new RefusedError(error.message);
      this.#fail(messageOf(error));
      throw new LinkError(this.#failure ?? messageOf(error), { cause: error });
    }
  }

  /** Calls `heard` for each message on a channel, from now on. Other commands are refused then. */
  async subscribe(channel: string, heard: () => void): Promise<void> {
    this.#redis.on("message", () => {
      this.#bytes = 0;
      heard();
    });
    await this.#asked(this.#redis.subscribe(channel));
  }

  /** Whether the other side still answers, for a connection that has subscribed. */
  async ping(): Promise<void> {
    this.#bytes = 0;
    await this.#asked(this.#redis.ping());
  }

  /** Closes the connection at once. Commands under way fail. Settles when nothing of it is left. */
  async close(): Promise<void> {
    this.#fail("the connection was closed");
    await settlesWithin(this.#ended.promise, COMMAND_MS);
  }

  async #asked(reply: Promise<unknown>): Promise<void> {
    try {
      await reply;
    } catch (error) {
      if (error instanceof Error && error.name === "ReplyError") throw new RefusedError(error.message);
      this.#fail(messageOf(error));
      throw new LinkError(this.#failure ?? messageOf(error), { cause: error });
    }
  }

  async #begin({ username, password, database }: RedisTarget): Promise<void> {
    if (!await settlesWithin(this.#redis.connect(), OPEN_MS)) throw new LinkError(`no connection in ${OPEN_MS} ms`);
    if (this.#failure !== undefined) throw new LinkError(this.#failure);
    // Not by the client's own options: it would print some refusals on the console, and ignore others.
    if (password !== null) await this.call("AUTH", ...username === null ? [] : [username], password);
    // A server that wants a password cuts longer commands off with an error that says nothing of it.
    await this.call("PING");
    if (database !== 0) await this.call("SELECT", database);
  }

  #fail(why: string): void {
    if (this.#failure === undefined) {
      this.#failure = why;
      this.#failed.resolve(why);
    }
    const { stream } = this.#redis;
    // Not after the end of the stream: the client would wait for that with a timer.
    if (stream === undefined || !stream.destroyed) this.#redis.disconnect();
    stream?.destroy(); // a frozen peer would never answer the end of the connection
  }
}
