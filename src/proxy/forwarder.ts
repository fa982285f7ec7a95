/** Answers requests: by a backend, by their route, or with the reason why neither can. Knows no engine. */

import { GuardRefusal, messageOf, type ProxyError } from "../errors.ts";
import { turnEpoch } from "../net/turn_clock.ts";
import { isWellFormedAuthority } from "./authority.ts";
import { forwardResponse } from "./headers.ts";
import type { Decision } from "../guards/guard.ts";
import type { Ending } from "./ending.ts";
import type { Exchange, OwnAnswer } from "./exchange.ts";
import { hostMissing, methodNotAllowed, refused, stopping, unexpected } from "../failures.ts";
import { Forwarding, type ForwardingListener } from "./forwarding.ts";
import type { RequestHead } from "./message.ts";
import type { MirroredRequest } from "./mirror.ts";
import { CLIENT_GONE, isServerFailure, type Problem, problemFor } from "./problem.ts";
import { bodyRefusal, chooseRoute } from "./route_choice.ts";
import type { ForwarderParts } from "./rules.ts";
import { type PooledStory, Story } from "./story.ts";

/** Forwards the requests of one isolate. */
export class Forwarder {
  #parts: ForwarderParts;
  #stopping = false;
  #leaving = false;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
  }

  /** Requests that begin from now on use `parts`. */
  configure(parts: ForwarderParts): void {
    this.#parts = parts;
  }

  /** Whether the proxy is shutting down. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Whether connections of clients are not kept for another request. */
  get leaving(): boolean {
    return this.#leaving;
  }

  /** Answers as before, but keeps no connections of clients. */
  leave(): void {
    this.#leaving = true;
  }

  /** Refuses requests that begin from now on. */
  stop(): void {
    this.#stopping = true;
    this.#leaving = true;
  }

  /** Answers one request from beginning to end. Never rejects. */
  handle(exchange: Exchange): Promise<void> {
    return this.tell(this.begin(exchange));
  }

  /** Begins a request with the configuration in force. `tell` must be called after it. */
  begin(exchange: Exchange): Story {
    const parts = this.#parts;
    parts.recorder.started();
    const story = new Story(exchange, parts);
    if (this.#stopping) decide(story, stopping());
    else askAll(story);
    exchange.keepTo(story.rules.limits);
    return story;
  }

  /**
   * Answers a request that has begun, when it is known whether it is refused. Settles when it has ended completely.
   * Never rejects.
   */
  tell(story: Story): Promise<void> {
    return new Promise((resolve) => new Telling(story, resolve).begin());
  }

  /**
   * Returns the answer to a malformed head, or to a head that did not arrive in time. It counts as a request.
   *
   * @param client the address at the other end of the connection
   */
  refuse(error: ProxyError, client: string): Problem {
    const { log, random, recorder } = this.#parts;
    const requestId = random.take(16);
    const problem = problemFor(error, requestId, 1);
    log.debug("request refused", { code: error.code, reason: error.message });
    recorder.refused({ requestId, client, status: problem.status, bytesOut: byteLength(problem.body), failure: error });
    return problem;
  }
}

/** Asks the routes and the guards whether a request is refused before a backend is chosen. */
function askAll(story: Story): void {
  const refusal = ruleRefusal(story); // also finds out which guards there are
  const guarded = story.rules.guards?.check(story);
  if (guarded instanceof Promise) story.deciding = decideLater(story, refusal, guarded);
  else decide(story, refusal, guarded);
}

/**
 * @param refusal of the proxy itself or of the routes
 * @param guarded of the guards. It goes first
 */
function decide(story: Story, refusal: ProxyError | undefined, guarded?: ProxyError): void {
  if (guarded !== undefined) story.pool = undefined;
  story.refusal = guarded ?? refusal ?? (story.goesToPool() ? bodyRefusal(story) : undefined);
  story.pool?.countRequest(turnEpoch());
}

async function decideLater(story: Story, refusal: ProxyError | undefined, guarded: Promise<Decision>): Promise<void> {
  try {
    decide(story, refusal, await guarded);
  } catch (error) {
    decide(story, refusal, unexpected(error)); // a guard that fails lets nobody pass
  }
}

/** Why the proxy itself or the routes refuse a request; `undefined`: they do not. */
function ruleRefusal(story: Story): ProxyError | undefined {
  const { method, authority } = story.request;
  if (method === "CONNECT" || method === "TRACE") return methodNotAllowed(method);
  if (authority === undefined) return hostMissing();
  if (!isWellFormedAuthority(authority)) return refused("bad_request", "The Host header is malformed.");
  return chooseRoute(story, authority);
}

/** Brings one request to its end. */
class Telling implements ForwardingListener {
  readonly #story: Story;
  readonly #ended: () => void;
  /** `undefined`: the request is not copied. */
  #mirrored: MirroredRequest | undefined;

  constructor(story: Story, ended: () => void) {
    this.#story = story;
    this.#ended = ended;
  }

  begin(): void {
    const { deciding } = this.#story;
    if (deciding === undefined) this.#go();
    else void deciding.then(() => this.#go());
  }

  #go(): void {
    const story = this.#story;
    const refusal = story.exchange.brokenOff ?? story.refusal;
    if (refusal !== undefined) this.unforwarded(refusal);
    else if (story.goesToPool()) this.#forward(story);
    else answerOwn(story).then((ending) => this.forwarded(ending), (error) => this.unforwarded(unexpected(error)));
  }

  #forward(story: PooledStory): void {
    this.#mirrored = story.rules.mirror?.begin(story); // it must see the body from the start
    new Forwarding(story, this).begin();
    this.#mirrored?.requestSent();
  }

  forwarded(ending: Ending): void {
    this.#mirrored?.requestEnded();
    this.#story.parts.recorder.ended(this.#story, ending);
    this.#story.place?.giveBack();
    this.#ended();
  }

  unforwarded(failure: ProxyError): void {
    void answerFailure(this.#story, failure).then((ending) => this.forwarded(ending));
  }
}

/** Gives the answer of the route itself. */
async function answerOwn(story: Story): Promise<Ending> {
  const { exchange, ownAnswer } = story;
  if (ownAnswer === undefined) throw new Error("neither a pool nor an answer");
  await exchange.answer(withGuardHeaders(ownAnswer, story));
  const bytesOut = sentBytes(exchange.request, ownAnswer);
  return { status: ownAnswer.status, backend: undefined, bytesOut, failure: undefined };
}

async function answerFailure(story: Story, error: ProxyError): Promise<Ending> {
  const { exchange, forwarded, parts, pool } = story;
  const { log } = parts;
  const { requestId } = forwarded;
  if (error.code === "internal") log.error("request failed", { requestId, reason: messageOf(error.cause) });
  if (!isServerFailure(error) || error instanceof GuardRefusal) {
    log.debug("request refused", { requestId, code: error.code, reason: error.message });
  }
  const answer = guardAnswer(error, story) ?? problemFor(error, requestId, retryAfterSeconds(error, pool));
  await exchange.answer(withGuardHeaders(answer, story));
  return {
    status: answer.status,
    backend: undefined,
    bytesOut: sentBytes(exchange.request, answer),
    failure: error,
  };
}

/** The whole answer that a guard has for the client; `undefined`: it has none. */
function guardAnswer(error: ProxyError, { forwarded, rules }: Story): OwnAnswer | undefined {
  if (!(error instanceof GuardRefusal) || error.answer === undefined) return undefined;
  const headers = forwardResponse(error.answer, forwarded.requestId, rules.responseHeaders);
  // The body may have been cut.
  return { ...error.answer, headers: headers.filter(([name]) => name.toLowerCase() !== "content-length") };
}

function retryAfterSeconds(error: ProxyError, pool: Story["pool"]): number {
  if (error instanceof GuardRefusal) return error.retryAfterSeconds ?? 1;
  return error.code === "no_backend" ? pool?.retryAfterSeconds() ?? 1 : 1;
}

function withGuardHeaders(answer: OwnAnswer, { guardHeaders }: Story): OwnAnswer {
  return guardHeaders === undefined ? answer : { ...answer, headers: [...answer.headers, ...guardHeaders] };
}

/** How many bytes of an answer's body are sent. */
function sentBytes({ method }: RequestHead, { status, body }: OwnAnswer): number {
  if (method === "HEAD" || status === CLIENT_GONE) return 0;
  return typeof body === "string" ? byteLength(body) : body.length;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
