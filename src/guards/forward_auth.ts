/** `auth.forward`: a server is asked about each request, and its answer decides. Without an answer nobody passes. */

import { PLAIN_TLS } from "../config/schema.ts";
import type { ForwardAuthConfig } from "../config/schema/auth.ts";
import { withoutSecretParameters } from "../config/secret_parameters.ts";
import { messageOf } from "../errors.ts";
import { authUnavailable, unauthorized } from "../failures.ts";
import { backendAddress, type ReachedServer } from "../pool/backend_address.ts";
import { type AskedPool, PooledQuestion } from "./asked_pool.ts";
import { questionHead } from "./auth_question.ts";
import type { Decision, Guard, GuardedRequest, GuardPlace, GuardVerdict, PassingRequest } from "./guard.ts";
import type { Holdings } from "./holdings.ts";
import type { Answered, Questions } from "./questions.ts";

export function forwardAuth(config: ForwardAuthConfig, { holdings, pools }: GuardPlace): Guard {
  const { forward } = config;
  const asked = typeof forward === "string"
    ? holdings.obtain(UrlServer, forward)
    : new PoolServer(pools.get(forward.pool), forward);
  return new ForwardAuth(config, asked, holdings.questions);
}

/** Who is asked. */
interface Asked {
  /** In words, without secrets. */
  readonly words: string;
  /** Begins a question; `undefined`: nobody can be asked now. */
  begin(request: PassingRequest): BegunQuestion | undefined;
}

/** A question to one server. `ended` is called once, and before or after it one of `answered` and `failed`. */
interface BegunQuestion {
  readonly server: ReachedServer;
  /** Path and query. */
  readonly target: string;
  answered(status: number): void;
  failed(error: unknown): void;
  ended(): void;
}

class ForwardAuth implements Guard {
  readonly owned: readonly string[];
  readonly #config: ForwardAuthConfig;
  readonly #asked: Asked;
  readonly #questions: Questions;
  /** In lower case. */
  readonly #copied: ReadonlySet<string>;

  constructor(config: ForwardAuthConfig, asked: Asked, questions: Questions) {
    this.owned = config.copy;
    this.#config = config;
    this.#asked = asked;
    this.#questions = questions;
    this.#copied = new Set(config.copy.map((name) => name.toLowerCase()));
  }

  check(request: PassingRequest): Decision | Promise<Decision> {
    return this.#config.preflight && isPreflight(request) ? undefined : this.#ask(request);
  }

  explain(request: GuardedRequest): GuardVerdict {
    const passes = this.#config.preflight && isPreflight(request);
    return {
      refusal: undefined,
      reason: passes ? "it is a preflight request" : `${this.#asked.words} would be asked, and decides`,
    };
  }

  async #ask(request: PassingRequest): Promise<Decision> {
    const question = this.#asked.begin(request);
    if (question === undefined) return authUnavailable(`${this.#asked.words}: no backend can be asked`);
    const { server, target } = question;
    const { timeoutMs } = this.#config;
    try {
      const head = questionHead(server, target, request);
      const answer = await this.#questions.ask({ server, head, timeoutMs }, request.signal, () => question.ended());
      question.answered(answer.status);
      return this.#decide(answer, request);
    } catch (error) {
      question.failed(error);
      return authUnavailable(`${this.#asked.words}: ${messageOf(error)}`, error);
    }
  }

  #decide(answer: Answered, request: PassingRequest): Decision {
    const { status, reason, headers, body } = answer;
    if (status > 299) {
      return unauthorized(`${this.#asked.words} answered ${status}`, {
        answer: { status, title: reason, headers, body },
      });
    }
    const copied = new Map<string, string>();
    for (const [name, value] of headers) {
      const lower = name.toLowerCase();
      if (lower === "set-cookie") request.tell(["set-cookie", value]);
      if (!this.#copied.has(lower)) continue;
      const before = copied.get(lower);
      copied.set(lower, before === undefined ? value : `${before}${lower === "cookie" ? "; " : ", "}${value}`);
    }
    request.give(...copied);
    return undefined;
  }
}

/** A server by its URL. It is in no pool. */
class UrlServer implements Asked, BegunQuestion, Disposable {
  readonly words: string;
  readonly server: ReachedServer;
  readonly target: string;
  readonly #questions: Questions;

  constructor(url: string, { questions }: Holdings) {
    const { pathname, search } = new URL(url);
    this.words = withoutSecretParameters(url);
    this.server = { ...backendAddress(url), tls: PLAIN_TLS };
    this.target = pathname + search;
    this.#questions = questions;
  }

  begin(): BegunQuestion {
    return this;
  }

  answered(): void {}

  failed(): void {}

  ended(): void {}

  [Symbol.dispose](): void {
    this.#questions.leave(this.server);
  }
}

/** The backends of a pool. */
class PoolServer implements Asked {
  readonly words: string;
  readonly #pool: AskedPool | undefined;
  readonly #path: string;

  constructor(pool: AskedPool | undefined, { pool: name, path }: { readonly pool: string; readonly path: string }) {
    this.words = `the pool ${name}`;
    this.#pool = pool;
    this.#path = path;
  }

  begin(request: PassingRequest): BegunQuestion | undefined {
    const question = this.#pool && PooledQuestion.begin(this.#pool, this.#path, request);
    return question &&
      Object.assign(question, { server: question.backend, target: question.backend.basePath + this.#path });
  }
}

/** Whether the browser asks on its own whether it may send a request (https://fetch.spec.whatwg.org/#cors-preflight-request). */
function isPreflight(request: GuardedRequest): boolean {
  return request.method === "OPTIONS" && request.believed("origin") !== undefined &&
    request.believed("access-control-request-method") !== undefined;
}
