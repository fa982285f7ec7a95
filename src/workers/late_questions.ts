/** Asks servers on behalf of guards. What moves the bytes is loaded with the first question, not at every start. */

import type { ServerQuestions } from "../engines/wire/backend/server_questions.ts";
import type { Answered, Question, Questions } from "../guards/questions.ts";
import type { Log } from "../log.ts";
import type { ReachedServer } from "../pool/backend_address.ts";
import type { ServerPools } from "../pool/server_pools.ts";

/** The questions of one isolate. */
export class LateQuestions implements Questions, Disposable {
  readonly #pools: ServerPools;
  readonly #log: Log;
  #loading: Promise<ServerQuestions> | undefined;
  #loaded: ServerQuestions | undefined;
  #disposed = false;

  constructor(pools: ServerPools, log: Log) {
    this.#pools = pools;
    this.#log = log;
  }

  ask(question: Question, signal: AbortSignal, ended: () => void): Promise<Answered> {
    return this.#loaded?.ask(question, signal, ended) ?? this.#askFirst(question, signal, ended);
  }

  leave(server: ReachedServer): void {
    this.#loaded?.leave(server);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#loaded?.[Symbol.dispose]();
  }

  async #askFirst(question: Question, signal: AbortSignal, ended: () => void): Promise<Answered> {
    let questions: ServerQuestions;
    try {
      questions = await (this.#loading ??= this.#load());
    } catch (error) {
      ended();
      throw error;
    }
    return await questions.ask(question, signal, ended);
  }

  async #load(): Promise<ServerQuestions> {
    const { ServerQuestions } = await import("../engines/wire/backend/server_questions.ts");
    const loaded = this.#loaded = new ServerQuestions(this.#pools, this.#log);
    if (this.#disposed) loaded[Symbol.dispose]();
    return loaded;
  }
}
