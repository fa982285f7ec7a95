/** Process: clients that behave well. It reports their longest waits. */

import { RawClient, type RawResponse, textOf } from "../../tests/support/raw_client.ts";
import { type Doors, open } from "./doors.ts";
import { help } from "./helper_process.ts";
import { pause } from "./pause.ts";

export interface Waits {
  readonly what: string;
  readonly requests: number;
  readonly worstMs: number;
  /** Whether the wait is judged. Requests that bypass the program only show the delays of the machine. */
  readonly isJudged: boolean;
  /**
   * How often a kept connection closed before the first byte of the answer, so that the request was sent over a new
   * one. Both together count as one wait. No other request is sent again.
   */
  readonly renewed: number;
}

export interface PoliteReport {
  /** The waits at each port, on a kept connection and on new ones. */
  readonly waits: readonly Waits[];
  /** What went wrong, and how often. */
  readonly wrongs: Readonly<Record<string, number>>;
  /** How late this process itself was at most. This part of the waits comes from the machine. */
  readonly lateMs: number;
}

/** The pause between two requests of one client. */
const REST_MS = 10;
/** The same with new connections, which cost more, especially over TLS. */
const REST_BETWEEN_CONNECTIONS_MS = 30;
const GIVE_UP_MS = 15_000;
const NOTHING = new Uint8Array(0);

interface Errand {
  readonly what: string;
  readonly connect: () => Promise<RawClient>;
  readonly target: string;
  readonly keep: boolean;
  readonly isJudged: boolean;
  readonly status: number;
  /** How the body begins. */
  readonly body: string;
}

function errandsAt(doors: Doors): Errand[] {
  const served = { isJudged: true, target: doors.targets.polite, status: 200, body: "polite" };
  const proxy = { ...served, connect: () => open(doors) };
  const admin = { ...served, connect: () => RawClient.connect(doors.admin), target: "/healthz", body: "{" };
  const connectPast = async () => new RawClient(await Deno.connect(doors.ownBackend));
  const past = { ...served, connect: connectPast, isJudged: false };
  const errands = [
    { what: "proxy", keep: true, ...proxy },
    { what: "proxy, new connections", keep: false, ...proxy },
    { what: "admin", keep: true, ...admin },
    { what: "admin, new connections", keep: false, ...admin },
    { what: "past the program, new connections", keep: false, ...past },
  ];
  const { redirect } = doors;
  if (redirect === undefined) return errands;
  const connect = () => RawClient.connect(redirect);
  return [...errands, {
    what: "redirect, new connections",
    keep: false,
    ...served,
    connect,
    target: "/x",
    status: 308,
    body: "",
  }];
}

class PoliteClient {
  readonly #errand: Errand;
  readonly #wrongs: Record<string, number>;
  #client: RawClient | undefined;
  #requests = 0;
  #worstMs = 0;
  #renewed = 0;
  #askedAt: number | undefined;

  constructor(errand: Errand, wrongs: Record<string, number>) {
    this.#errand = errand;
    this.#wrongs = wrongs;
  }

  /** The waits so far. The present wait counts, too. */
  get waits(): Waits {
    const nowMs = this.#askedAt === undefined ? 0 : performance.now() - this.#askedAt;
    const worstMs = Math.round(Math.max(this.#worstMs, nowMs));
    const { what, isJudged } = this.#errand;
    return { what, isJudged, requests: this.#requests, worstMs, renewed: this.#renewed };
  }

  async run(): Promise<never> {
    while (true) {
      this.#askedAt = performance.now();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const givenUp = new Promise<string>((resolve) => timer = setTimeout(() => resolve("no answer"), GIVE_UP_MS));
      const wrong = await Promise.race([this.#ask().catch((error) => `failed: ${messageOf(error)}`), givenUp]);
      clearTimeout(timer);
      this.#requests++;
      this.#worstMs = Math.max(this.#worstMs, performance.now() - this.#askedAt);
      this.#askedAt = undefined;
      if (wrong !== undefined) {
        const line = `${this.#errand.what}: ${wrong}`;
        this.#wrongs[line] = (this.#wrongs[line] ?? 0) + 1;
      }
      if (wrong !== undefined || !this.#errand.keep) this.#hangUp();
      await pause(this.#errand.keep ? REST_MS : REST_BETWEEN_CONNECTIONS_MS);
    }
  }

  /** Sends a request. Returns what was wrong with the answer. */
  async #ask(): Promise<string | undefined> {
    const { status, body } = this.#errand;
    const kept = this.#client;
    let response = kept && await this.#askOn(kept).catch(() => undefined);
    if (response === undefined) {
      if (kept !== undefined) { // the program may close it at any time between two requests
        if ((await kept.chunk().catch(() => NOTHING)).length > 0) return "an answer broken off";
        this.#renewed++;
        this.#hangUp();
      }
      response = await this.#askOn(this.#client = await this.#errand.connect());
    }
    if (response === undefined) return "closed without an answer";
    if (response.status !== status) return `status ${response.status}`;
    return response.complete && textOf(response).startsWith(body) ? undefined : "another body";
  }

  async #askOn(client: RawClient): Promise<RawResponse | undefined> {
    const { target, keep } = this.#errand;
    const connection = keep ? "" : "Connection: close\r\n";
    return await client.request(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${connection}\r\n`);
  }

  #hangUp(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

await help((doors: Doors) => {
  const wrongs: Record<string, number> = {};
  const clients = errandsAt(doors).map((errand) => new PoliteClient(errand, wrongs));
  for (const client of clients) client.run();
  let lateMs = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    lateMs = Math.max(lateMs, now - last - REST_MS);
    last = now;
  }, REST_MS);
  return {
    begun: null,
    finish: (): PoliteReport => ({
      waits: clients.map((client) => client.waits),
      wrongs,
      lateMs: Math.round(lateMs),
    }),
  };
});
