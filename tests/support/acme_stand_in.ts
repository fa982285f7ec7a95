/** An authority that does what a test says: it is slow, lies, or sends garbage. It makes no certificates. */

import { makeAuthority, makePair, type Pair } from "./certificates.ts";

/** What it answers in place of its usual answer; `undefined`: the usual one. */
export type Twist = (step: AcmeStep, request: Request) => Response | Promise<Response> | undefined;

export type AcmeStep =
  | "directory"
  | "nonce"
  | "account"
  | "order"
  | "authorization"
  | "challenge"
  | "finalize"
  | "certificate";

const STEPS: readonly AcmeStep[] = [
  "directory",
  "nonce",
  "account",
  "order",
  "authorization",
  "challenge",
  "finalize",
  "certificate",
];

export class AcmeStandIn implements AsyncDisposable {
  /** Every request, by step. */
  readonly asked: AcmeStep[] = [];
  /** Of the authority that has signed its certificate. */
  readonly ca: string;
  twist: Twist = () => undefined;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stop = new AbortController();
  #orderStatus = "pending";

  static async start(): Promise<AcmeStandIn> {
    const authority = await makeAuthority();
    return new AcmeStandIn(authority, await makePair({ authority }));
  }

  private constructor(authority: Pair, pair: Pair) {
    this.ca = authority.cert;
    this.#server = Deno.serve({
      ...pair,
      hostname: "127.0.0.1",
      port: 0,
      signal: this.#stop.signal,
      onListen: () => {},
      handler: async (request) => {
        const step = STEPS.find((step) => new URL(request.url).pathname.startsWith(`/${step}`));
        if (step === undefined) return new Response(null, { status: 404 });
        this.asked.push(step);
        await request.body?.cancel();
        return await this.twist(step, request) ?? this.#usual(step);
      },
    });
  }

  get url(): string {
    return `https://127.0.0.1:${this.#server.addr.port}`;
  }

  get directory(): string {
    return `${this.url}/directory`;
  }

  /** How often a step was asked for. */
  count(step: AcmeStep): number {
    return this.asked.filter((asked) => asked === step).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#server.finished;
  }

  #usual(step: AcmeStep): Response {
    const token = "abcdefghijklmnopqrstuvwxyz012345";
    const challenge = { type: "http-01", url: `${this.url}/challenge/1`, token, status: "pending" };
    switch (step) {
      case "directory":
        return this.#json({
          newNonce: `${this.url}/nonce`,
          newAccount: `${this.url}/account`,
          newOrder: `${this.url}/order`,
        });
      case "nonce":
        return this.#json(null);
      case "account":
        return this.#json({ status: "valid" }, { status: 201, headers: { location: `${this.url}/account/1` } });
      case "order":
        return this.order({ status: this.#orderStatus });
      case "authorization":
        return this.#json({ status: this.#orderStatus === "pending" ? "pending" : "valid", challenges: [challenge] });
      case "challenge":
        this.#orderStatus = "ready";
        return this.#json(challenge);
      case "finalize":
        this.#orderStatus = "valid";
        return this.order({ status: "valid" });
      case "certificate":
        return this.#json(null, { status: 500 });
    }
  }

  /** An order with these fields in place of the usual ones. */
  order(fields: Record<string, unknown>): Response {
    const [authorizations, finalize] = [[`${this.url}/authorization/1`], `${this.url}/finalize/1`];
    const order = { authorizations, finalize, certificate: `${this.url}/certificate/1`, ...fields };
    // The library wants 201 for a new order, and 200 for one that it asks for.
    const isNew = this.asked.at(-1) === "order" && this.count("order") === 1;
    return this.#json(order, { status: isNew ? 201 : 200, headers: { location: `${this.url}/order/1` } });
  }

  #json(value: unknown, { status = 200, headers = {} }: { status?: number; headers?: HeadersInit } = {}): Response {
    const all = new Headers(headers);
    all.set("replay-nonce", crypto.randomUUID());
    all.set("content-type", "application/json");
    return new Response(value === null ? null : JSON.stringify(value), { status, headers: all });
  }
}
