// Orders at a real authority (pebble), and at one that is away, slow, lies or sends garbage.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { type Clock, systemClock } from "../../src/net/clock.ts";
import type { Account, AccountKeeper } from "../../src/tls/acme/account.ts";
import { Authority, type AuthorityOptions } from "../../src/tls/acme/authority.ts";
import { Challenges } from "../../src/tls/acme/challenges.ts";
import { AcmeError } from "../../src/tls/acme/errors.ts";
import { AcmeStandIn, type AcmeStep, type Twist } from "../support/acme_stand_in.ts";
import { makePair } from "../support/certificates.ts";
import { HAS_PEBBLE, Pebble, type PebbleOptions } from "../support/pebble.ts";
import { waitFor } from "../support/wait.ts";

class AccountInMemory implements AccountKeeper {
  value: Account | undefined;

  account(): Promise<Account | undefined> {
    return Promise.resolve(this.value);
  }
  keepAccount(account: Account): Promise<void> {
    this.value = account;
    return Promise.resolve();
  }
}

/** Answers challenges as the guarded listener does. */
class ChallengeServer implements AsyncDisposable {
  readonly challenges = new Challenges();
  /** How often each path was asked for. */
  readonly asked: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      handler: async (request) => {
        const { pathname } = new URL(request.url);
        this.asked.push(pathname);
        const answer = await this.challenges.answer(pathname.replace("/.well-known/acme-challenge/", ""));
        return new Response(answer ?? null, { status: answer === undefined ? 404 : 200 });
      },
    });
  }

  get port(): number {
    return this.#server.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function authorityOf(
  { directory, ca }: { readonly directory: string; readonly ca: string | undefined },
  options: Partial<AuthorityOptions> = {},
): Authority {
  return new Authority({
    directory,
    ca,
    email: null,
    eab: null,
    accounts: new AccountInMemory(),
    challenges: new Challenges(),
    clock: systemClock,
    ...options,
  });
}

const never = new AbortController().signal;

function withPebble(
  name: string,
  options: Partial<PebbleOptions>,
  test: (pebble: Pebble, server: ChallengeServer) => Promise<void>,
) {
  Deno.test({
    name,
    ignore: !HAS_PEBBLE,
    fn: async () => {
      await using server = new ChallengeServer();
      await using pebble = await Pebble.start({ httpPort: server.port, ...options });
      await test(pebble, server);
    },
  });
}

function orderer(pebble: Pebble, { challenges }: ChallengeServer, options: Partial<AuthorityOptions> = {}): Authority {
  return authorityOf({ directory: pebble.directory, ca: pebble.caText }, { challenges, ...options });
}

withPebble("pebble makes a certificate for a name, whatever nonces it refuses", {}, async (pebble, server) => {
  const accounts = new AccountInMemory();
  const { certificate: { cert, key } } = await orderer(pebble, server, { accounts, email: "me@one.example" }).order(
    "one.example",
    never,
  );
  const [leaf, intermediate] = cert.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g) ?? [];
  assert(leaf !== undefined && intermediate !== undefined && key.includes("PRIVATE KEY"));
  assertEquals(new X509Certificate(leaf).checkHost("one.example"), "one.example");
  assert(new X509Certificate(intermediate).verify(new X509Certificate(await pebble.root()).publicKey));
  assertEquals(accounts.value?.email, "me@one.example");
  assertStringIncludes(accounts.value?.url ?? "", "https://");
  assertEquals(await server.challenges.answer(server.asked[0]?.split("/").at(-1) ?? ""), undefined, "removed");
});

withPebble("one account is used for all orders, and told of another address", {}, async (pebble, server) => {
  const accounts = new AccountInMemory();
  await orderer(pebble, server, { accounts }).order("one.example", never);
  const { url } = accounts.value ?? {};
  await orderer(pebble, server, { accounts, email: "other@one.example" }).order("two.example", never);
  assertEquals([accounts.value?.url, accounts.value?.email], [url, "other@one.example"]);
});

withPebble("an authority that has forgotten the account gets a new one", {}, async (pebble, server) => {
  const accounts = new AccountInMemory();
  await orderer(pebble, server, { accounts }).order("one.example", never);
  const before = accounts.value;
  await pebble.restart();
  await orderer(pebble, server, { accounts }).order("one.example", never);
  assertEquals(accounts.value?.key, before?.key);
  assert(accounts.value?.url !== before?.url);
});

withPebble("slow validations are waited for", { sleepSeconds: 3 }, async (pebble, server) => {
  await orderer(pebble, server).order("one.example", never);
});

const HMAC = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

withPebble("an account is bound to another one that the authority has given", {
  externalKeys: { "kid-1": HMAC },
}, async (pebble, server) => {
  const error = await assertRejects(() => orderer(pebble, server).order("one.example", never), AcmeError);
  assertEquals([error.problem, error.concernsAll], ["externalAccountRequired", true]);
  await orderer(pebble, server, { eab: { kid: "kid-1", hmacKey: HMAC } }).order("one.example", never);
});

withPebble("a name that does not lead here is an error of this name", {}, async (pebble, server) => {
  await pebble.lead("away.example", "127.0.0.99");
  const error = await assertRejects(() => orderer(pebble, server).order("away.example", never), AcmeError);
  assertStringIncludes(error.message, "could not validate");
  assertEquals(error.concernsAll, false);
});

withPebble("a stop in the middle of an order ends it, and its challenge is forgotten", {
  sleepSeconds: 15,
}, async (pebble, server) => {
  const tokens: string[] = [];
  const challenges = {
    put: (token: string, text: string) => {
      tokens.push(token);
      return server.challenges.put(token, text);
    },
    remove: (token: string) => server.challenges.remove(token),
  };
  const stop = new AbortController();
  const order = orderer(pebble, server, { challenges }).order("one.example", stop.signal);
  await waitFor(() => tokens.length > 0, { what: "a challenge" });
  stop.abort(new Error("enough"));
  await assertRejects(() => order, Error, "enough");
  assertEquals(await server.challenges.answer(tokens[0] ?? ""), undefined);
});

// An authority of ours

async function failure(twist: Twist, options: Partial<AuthorityOptions> = {}): Promise<[AcmeError, AcmeStandIn]> {
  await using standIn = await AcmeStandIn.start();
  standIn.twist = twist;
  const authority = authorityOf(standIn, options);
  return [await assertRejects(() => authority.order("one.example", never), AcmeError), standIn];
}

function problem(status: number, type: string, headers: HeadersInit = {}): Response {
  const body = JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: "no more today" });
  return new Response(body, { status, headers: { "replay-nonce": "abc", ...headers } });
}

Deno.test("an authority that is not there, or is none that we trust, concerns all names", async () => {
  await using standIn = await AcmeStandIn.start();
  for (
    const given of [{ directory: "https://127.0.0.1:1/dir", ca: undefined }, {
      ...standIn,
      directory: standIn.directory,
      ca: (await makePair()).cert,
    }]
  ) {
    const error = await assertRejects(() => authorityOf(given).order("one.example", never), AcmeError);
    assertEquals(error.concernsAll, true, error.message);
  }
});

Deno.test("an authority that asks to wait says for how long, and is not asked again meanwhile", async () => {
  const [tooMany, standIn] = await failure((step) => {
    return step === "order" ? problem(429, "rateLimited", { "retry-after": "3600" }) : undefined;
  });
  assertEquals([tooMany.problem, tooMany.retryAfterMs, tooMany.concernsAll], ["rateLimited", 3_600_000, false]);
  assertEquals(standIn.count("order"), 1);
  assertStringIncludes(tooMany.message, "no more today");
  const [busy] = await failure((step) => {
    return step === "directory" ? new Response("busy", { status: 503, headers: { "retry-after": "60" } }) : undefined;
  });
  assertEquals([busy.retryAfterMs, busy.concernsAll], [60_000, true]);
  const [noAccount] = await failure((step) => step === "account" ? problem(403, "unauthorized") : undefined);
  assertEquals([noAccount.problem, noAccount.concernsAll], ["unauthorized", true]);
});

Deno.test("an authority that refuses every nonce is left after a few", async () => {
  const [, standIn] = await failure((step) => step === "account" ? problem(400, "badNonce") : undefined);
  assert(standIn.count("account") <= 10);
});

/** What the authority sends at which step, and a part of the error. */
const GARBAGE: readonly (readonly [what: string, step: AcmeStep, response: () => Response, error: string])[] = [
  ["no JSON", "directory", () => new Response("<html>"), "does not answer as an ACME server"],
  ["a list", "directory", () => new Response("[]"), "does not answer as an ACME server"],
  ["null", "order", () => created("null"), "does not answer as an ACME server"],
  ["nothing", "order", () => created(null), "does not answer as an ACME server"],
  ["no directory", "directory", () => new Response("{}"), "newAccount"],
  ["no nonce", "nonce", () => new Response(null), "nonce"],
  ["bytes without end", "directory", () => new Response(endless()), "sends more than 256 KiB"],
  ["a redirect", "directory", () => new Response(null, { status: 302, headers: { location: "/" } }), "answers 302"],
  [
    "a plain URL",
    "directory",
    () => new Response(`{"newAccount":"x","newNonce":"http://127.0.0.1:1/"}`),
    "not https: http://127.0.0.1:1/",
  ],
  [
    "a file",
    "directory",
    () => new Response(`{"newAccount":"x","newNonce":"file:///etc/passwd"}`),
    "not https: file:///etc/passwd",
  ],
  ["no order", "order", () => created("{}"), "an order that makes no sense"],
  ["an account that is none", "account", () => created("{}", ""), "register account first"],
  ["a token that leads elsewhere", "authorization", () => authorization({ token: "../../etc/passwd" }), "token"],
  ["no http-01", "authorization", () => authorization({ type: "dns-01" }), "does not offer http-01"],
  ["no challenges", "authorization", () => new Response(`{"status":"pending","challenges":7}`), "makes no sense"],
  ["only null", "authorization", () => new Response(`{"status":"pending","challenges":[null]}`), "http-01"],
  ["a certificate that is none", "certificate", () => certificate(NO_CERTIFICATE), "certificate is damaged"],
  ["no certificate", "certificate", () => certificate("nothing"), "certificate is damaged"],
];

const NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";

function created(body: string | null, location = "https://127.0.0.1:1/"): Response {
  return new Response(body, { status: 201, headers: location === "" ? {} : { location } });
}

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(16_384)) });
}

function authorization(fields: Record<string, string>): Response {
  const challenge = { type: "http-01", url: "https://127.0.0.1:1/", token: "abcdefghijklmnopqrstuvwxyz", ...fields };
  return new Response(JSON.stringify({ status: "pending", challenges: [challenge] }));
}

function certificate(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/pem-certificate-chain" } });
}

for (const [what, at, response, want] of GARBAGE) {
  Deno.test(`an authority that sends ${what} as ${at} is an error in words`, async () => {
    const [error] = await failure((step) => step === at ? response() : undefined);
    assertStringIncludes(error.message, want);
    assert(error.message.length < 500);
  });
}

Deno.test("a certificate for another name or key is not used", async () => {
  const { cert } = await makePair({ name: "one.example" });
  const [error] = await failure((step) => step === "certificate" ? certificate(cert) : undefined);
  assertStringIncludes(error.message, "is for another key");
});

/** A hundred times as fast. */
const hasty: Clock = { now: () => Date.now(), after: (ms, callback) => systemClock.after(ms / 100, callback) };

/** Pauses take no time, but count as long as they would be, a second at least. Requests have all their time. */
class SkippingClock implements Clock {
  #skippedMs = 0;
  #late: { readonly afterMs: number; readonly callback: () => void } | undefined;

  now(): number {
    return Date.now() + this.#skippedMs;
  }

  after(ms: number, callback: () => void): () => void {
    if (ms === 20_000) return () => {}; // the limit of a request
    if (ms >= 600_000) {
      this.#late = { afterMs: this.#skippedMs + ms, callback };
      return () => this.#late = undefined;
    }
    return systemClock.after(0, () => {
      this.#skippedMs += Math.max(ms, 1000);
      if (this.#late !== undefined && this.#skippedMs >= this.#late.afterMs) this.#late.callback();
      callback();
    });
  }
}

Deno.test("an authority that answers nothing, or never the end, is given up after 20 s", async () => {
  for (const body of [undefined, new ReadableStream<Uint8Array>({ start: (one) => one.enqueue(new Uint8Array(1)) })]) {
    const ended = new AbortController();
    const [error] = await failure((step) => {
      if (step !== "directory") return undefined;
      return body === undefined ? forever(ended.signal) : new Response(body);
    }, { clock: hasty });
    ended.abort();
    assertStringIncludes(error.message, "no whole response in 20 s");
    assertEquals(error.concernsAll, true);
  }
});

function forever(stop: AbortSignal): Promise<Response> {
  return new Promise((resolve) => stop.addEventListener("abort", () => resolve(new Response(null))));
}

/** Never ends with a name. */
function pending(step: AcmeStep, request: Request, headers: HeadersInit = {}): Response | undefined {
  if (step === "challenge") return new Response("{}");
  if (step !== "authorization") return undefined;
  const response = authorization({ url: `${new URL(request.url).origin}/challenge/1` });
  return new Response(response.body, { headers });
}

Deno.test("an authority that never comes to an end with a name is given up after 10 minutes", async () => {
  const [error, standIn] = await failure((step, request) => pending(step, request), {
    clock: new SkippingClock(),
  });
  assertStringIncludes(error.message, "in 10 minutes");
  assert(standIn.count("authorization") < 100, "it was asked with growing pauses");
});

Deno.test("an authority that says how often to ask is asked as often", async () => {
  const [, standIn] = await failure((step, request) => pending(step, request, { "retry-after": "60" }), {
    clock: new SkippingClock(),
  });
  assert(standIn.count("authorization") <= 12, `${standIn.count("authorization")} times in ten minutes`);
});
