/** A server that is asked whether requests are allowed. It answers as a test says, or drops, freezes and lies. */

import type { RawConnection } from "./raw_backend.ts";
import { RecordingBackend, type SeenRequest, valuesOf } from "./raw_recorder.ts";

/** What a question comes to: bytes that are sent; `undefined`: the connection is closed without an answer. */
export type Verdict = string | undefined;

/** Lets everybody pass. */
export const ALLOWED = "HTTP/1.1 204 No Content\r\n\r\n";

/** A listening server. Dispose of it to cut everything. */
export class AuthServer implements AsyncDisposable {
  /** What it answers from now on, while it is not frozen. */
  verdict: (question: SeenRequest, connection: RawConnection) => Verdict | Promise<Verdict>;
  #thaw: PromiseWithResolvers<void> | undefined;
  readonly #server: RecordingBackend;

  constructor(verdict: Verdict | AuthServer["verdict"] = ALLOWED) {
    this.verdict = typeof verdict === "function" ? verdict : () => verdict;
    this.#server = new RecordingBackend(async (question, connection) => {
      await this.#thaw?.promise;
      return await this.verdict(question, connection);
    });
  }

  /** The URL that it is asked at. */
  get url(): string {
    return `${this.#server.url}/auth`;
  }

  /** Its origin, as a backend of a pool. */
  get origin(): string {
    return this.#server.url;
  }

  /** All questions, in order. */
  get questions(): readonly SeenRequest[] {
    return this.#server.requests;
  }

  /** Questions that are not well-formed requests. */
  get violations(): readonly string[] {
    return this.#server.violations;
  }

  /** How many connections it has accepted. */
  get connections(): number {
    return this.#server.connections;
  }

  /** The only value of a header of the last question; fails if there are several. */
  said(name: string): string | undefined {
    const values = valuesOf(this.#server.last, name);
    if (values.length > 1) throw new Error(`${name} came ${values.length} times`);
    return values[0];
  }

  /** Answers nothing until `thaw`, but goes on taking connections and questions. */
  freeze(): void {
    this.#thaw ??= Promise.withResolvers();
  }

  thaw(): void {
    this.#thaw?.resolve();
    this.#thaw = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.#server[Symbol.asyncDispose]();
  }
}
