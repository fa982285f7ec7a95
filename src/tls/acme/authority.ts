/** Orders certificates from an ACME authority (RFC 8555), each for one name, by `http-01`. */

import type { Authorization, Client, Order } from "acme-client";
import { messageOf } from "../../errors.ts";
import type { Clock } from "../../net/clock.ts";
import { pause } from "../../net/pause.ts";
import type { ServerCertificate } from "../server_certificate.ts";
import type { Account, AccountKeeper } from "./account.ts";
import { AcmeError } from "./errors.ts";
import { type Held, held, UnusableError } from "./held.ts";
import { TOKEN } from "./token.ts";
import { type AcmeResponse, Transport } from "./transport.ts";

export interface AuthorityOptions {
  /** The URL of its directory. */
  readonly directory: string;
  /** Whom to trust for its own certificate beside the built-in authorities, in PEM. */
  readonly ca: string | undefined;
  /** Where the authority can write to, about the account. */
  readonly email: string | null;
  /** The account with the authority that ours is bound to (RFC 8555 §7.3.4). */
  readonly eab: { readonly kid: string; readonly hmacKey: string } | null;
  readonly accounts: AccountKeeper;
  readonly challenges: ChallengeTable;
  readonly clock: Clock;
}

/** Where the authority finds the answers to its challenges. */
export interface ChallengeTable {
  /** Resolves when whoever is asked for the token has the answer. */
  put(token: string, keyAuthorization: string): Promise<void>;
  remove(token: string): Promise<void>;
}

/** The longest time for an order, with everything that the authority waits for. */
const ORDER_MS = 10 * 60_000;
/** How often the authority is asked whether it is done, if it does not say. */
const FIRST_POLL_MS = 500;
const LONGEST_POLL_MS = 15_000;

/** The library, with what this file uses of its inside. `deno.json` names its exact version. */
type Library = typeof import("acme-client");
type Requesting = (url: unknown, method: string, options?: { readonly data?: unknown }) => Promise<AcmeResponse>;

export class Authority {
  readonly #options: AuthorityOptions;

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /**
   * Orders a certificate. Takes `ORDER_MS` at most.
   *
   * @throws {AcmeError} when there is none; the reason of `stop`
   */
  async order(name: string, stop: AbortSignal): Promise<Held> {
    const { ca, clock } = this.#options;
    const ending = new AbortController();
    const end = () => ending.abort(stop.reason);
    stop.addEventListener("abort", end);
    const late = new AcmeError(`the authority has not made a certificate in ${ORDER_MS / 60_000} minutes`);
    const cancel = clock.after(ORDER_MS, () => ending.abort(late));
    try {
      stop.throwIfAborted();
      const library = await import("acme-client"); // takes 150 ms, so it is imported only where there is an order
      using transport = new Transport({ ca, stop: ending.signal, clock });
      return await new Ordering(this.#options, library, transport, ending.signal).run(name);
    } catch (error) {
      if (ending.signal.aborted) throw ending.signal.reason;
      if (error instanceof AcmeError) throw error;
      // The library takes for granted that an authority sends what it should.
      const why = error instanceof TypeError ? `the authority sends what makes no sense (${error.message})` : undefined;
      throw new AcmeError(why ?? messageOf(error), { cause: error });
    } finally {
      cancel();
      stop.removeEventListener("abort", end);
    }
  }
}

/** One order, from the account to the certificate. */
class Ordering {
  readonly #options: AuthorityOptions;
  readonly #library: Library;
  readonly #transport: Transport;
  readonly #ended: AbortSignal;

  constructor(options: AuthorityOptions, library: Library, transport: Transport, ended: AbortSignal) {
    this.#options = options;
    this.#library = library;
    this.#transport = transport;
    this.#ended = ended;
  }

  async run(name: string): Promise<Held> {
    const { client, order } = await this.#begin(name);
    const ready = order.status === "pending" ? await this.#authorized(client, order) : order;
    return await this.#finish(client, ready, name);
  }

  /** Places the order. An authority may have forgotten the account, as those for tests do when they start again. */
  async #begin(name: string): Promise<{ readonly client: Client; readonly order: Order }> {
    const identifiers = [{ type: "dns", value: name }];
    const known = await this.#account();
    try {
      const client = await this.#registered(known);
      return { client, order: orderIn(await client.createOrder({ identifiers })) };
    } catch (error) {
      if (known.url === undefined || !(error instanceof AcmeError && error.problem === "accountDoesNotExist")) {
        throw error;
      }
      const client = await this.#registered({ ...known, url: undefined });
      return { client, order: orderIn(await client.createOrder({ identifiers })) };
    }
  }

  /** The account, or the key of a new one. It is kept before the authority hears of it. */
  async #account(): Promise<Account> {
    const { accounts } = this.#options;
    const kept = await accounts.account();
    if (kept !== undefined) return kept;
    const key = (await this.#library.crypto.createPrivateEcdsaKey()).toString();
    const made: Account = { key, url: undefined, email: null };
    await accounts.keepAccount(made);
    return made;
  }

  async #registered({ key, url, email: toldEmail }: Account): Promise<Client> {
    const { directory, eab, email, accounts } = this.#options;
    const client = new this.#library.Client({
      directoryUrl: directory,
      accountKey: key,
      ...url === undefined ? {} : { accountUrl: url },
      ...eab === null ? {} : { externalAccountBinding: eab },
    });
    const request: Requesting = (url, method, { data } = {}) => this.#transport.request(url, method, data);
    Object.assign(inside(client), { request });
    if (url !== undefined && email === toldEmail) return client;
    try {
      const contact = email === null ? [] : [`mailto:${email}`];
      await client.createAccount({ termsOfServiceAgreed: true, contact });
      await accounts.keepAccount({ key, url: client.getAccountUrl(), email });
    } catch (error) {
      if (!(error instanceof AcmeError)) throw error;
      const { message, problem, retryAfterMs } = error;
      throw new AcmeError(message, { problem, retryAfterMs, concernsAll: true, cause: error });
    }
    return client;
  }

  /** Meets the challenges, and waits until the authority has seen that. */
  async #authorized(client: Client, order: Order): Promise<Order> {
    const { challenges } = this.#options;
    const put: string[] = [];
    try {
      for (const authorization of await client.getAuthorizations(order)) {
        if (authorization.status === "valid") continue; // from an earlier order
        const challenge = challengeIn(authorization);
        put.push(challenge.token);
        await challenges.put(challenge.token, await client.getChallengeKeyAuthorization(challenge));
        await client.completeChallenge(challenge);
        await this.#until(() => this.#isValid(client, authorization));
      }
      return await this.#until(async () => {
        const now = orderIn(await client.getOrder(order));
        return now.status === "pending" ? undefined : now;
      });
    } finally {
      for (const token of put) await challenges.remove(token);
    }
  }

  async #isValid(client: Client, { url }: Authorization): Promise<true | undefined> {
    const [now] = await client.getAuthorizations({ authorizations: [url] } as Order); // it uses nothing else
    switch (now?.status) {
      case "valid":
        return true;
      case "pending":
        return undefined;
      default:
        throw new AcmeError(`the authority could not validate the name: ${whyInvalid(now)}`);
    }
  }

  async #finish(client: Client, order: Order, name: string): Promise<Held> {
    if (order.status !== "ready") throw new AcmeError(`the authority calls the order ${order.status}, want ready`);
    const { createCsr, createPrivateEcdsaKey } = this.#library.crypto;
    const [key, csr] = await createCsr({ altNames: [name] }, await createPrivateEcdsaKey());
    const asked = orderIn({ ...await client.finalizeOrder(order, csr), url: order.url });
    const done = asked.status === "valid" ? asked : await this.#until(async () => {
      const now = orderIn(await client.getOrder(order));
      return now.status === "processing" || now.status === "ready" ? undefined : now;
    });
    if (done.status !== "valid") throw new AcmeError(`the authority calls the order ${done.status}, want valid`);
    const chain: unknown = await client.getCertificate(done);
    return usable({ cert: String(chain), key: key.toString() }, name, this.#options.clock.now());
  }

  /** Asks again and again, as often as the authority says, until there is a result. */
  async #until<T>(ask: () => Promise<T | undefined>): Promise<T> {
    for (let pauseMs = FIRST_POLL_MS;; pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS)) {
      const result = await ask();
      if (result !== undefined) return result;
      const ms = Math.min(this.#transport.retryAfterMs ?? pauseMs, 4 * LONGEST_POLL_MS);
      await pause(ms, this.#options.clock, this.#ended);
      this.#ended.throwIfAborted();
    }
  }
}

/** The part of the library's client that sends requests. Its types do not show it. */
function inside(client: Client): { request: Requesting } {
  return (client as unknown as { readonly http: { request: Requesting } }).http;
}

/** @throws {AcmeError} when the authority has sent something else */
function orderIn(order: Order): Order {
  const { status, authorizations } = order;
  if (typeof status === "string" && Array.isArray(authorizations) && authorizations.length === 1) return order;
  throw new AcmeError("the authority sends an order that makes no sense");
}

/** @throws {AcmeError} when there is none that can be met */
function challengeIn({ challenges }: Authorization): Authorization["challenges"][number] {
  const list: unknown = challenges;
  if (!Array.isArray(list)) throw new AcmeError("the authority sends an authorization that makes no sense");
  const challenge = (list as Authorization["challenges"]).find((challenge) => challenge?.type === "http-01");
  if (challenge === undefined) throw new AcmeError("the authority does not offer http-01");
  if (typeof challenge.token !== "string" || !TOKEN.test(challenge.token)) {
    throw new AcmeError("the authority sends a token that makes no sense");
  }
  return challenge;
}

function whyInvalid(authorization: Authorization | undefined): string {
  const list: unknown = authorization?.challenges;
  const details = Array.isArray(list) ? list.map((challenge) => challenge?.error?.detail) : [];
  const detail: unknown = details.find((detail) => typeof detail === "string");
  return detail === undefined ? String(authorization?.status) : String(detail).slice(0, 300);
}

/** @throws {AcmeError} when the authority has sent another certificate than the one that was ordered */
function usable(certificate: ServerCertificate, name: string, nowMs: number): Held {
  try {
    return held(certificate, name, nowMs);
  } catch (error) {
    if (!(error instanceof UnusableError)) throw error;
    throw new AcmeError(`the authority's certificate ${error.message}`, { cause: error });
  }
}
