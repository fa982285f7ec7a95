/** One question to a server that knows backends: its limit of time, and why it failed. */

import type * as z from "zod";
import { diagnosticLine, readWith } from "../config/diagnostics.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import { SourceError } from "./source.ts";

const MAX_MESSAGE_CHARS = 300;

/** Ends at its limit, when the source stops, and when it is disposed of. */
export class Asking implements Disposable {
  readonly #controller = new AbortController();
  readonly #stop: AbortSignal;
  readonly #cancelLimit: () => void;
  readonly #end = () => this.#controller.abort(new SourceError("the source has ended"));

  constructor({ clock, limitMs }: { readonly clock: Clock; readonly limitMs: number }, stop: AbortSignal) {
    this.#stop = stop;
    this.#cancelLimit = clock.after(limitMs, () => {
      this.#controller.abort(new SourceError(`no answer within ${limitMs / 1000} s`));
    });
    stop.addEventListener("abort", this.#end);
    if (stop.aborted) this.#end();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The answer has begun, and goes on for as long as it likes. */
  mayLast(): void {
    this.#cancelLimit();
  }

  [Symbol.dispose](): void {
    this.#cancelLimit();
    this.#stop.removeEventListener("abort", this.#end);
    this.#controller.abort();
  }
}

/**
 * Why a request failed, on one line and without its URL. The runtime says "error sending request for url (…): client
 * error (Connect): tcp connect error: Connection refused (os error 111)". The end of that says what counts.
 */
export function failureOf(error: unknown): SourceError {
  if (error instanceof SourceError) return error;
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const reason = messageOf(cause).replace(/^.*client error \(\w+\): /s, "").replace(/ \(os error \d+\)/, "");
  return new SourceError(oneLine(reason), { cause: error });
}

/** What a server says, as a part of a line: short, and without control characters. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, " ").trim().slice(0, MAX_MESSAGE_CHARS);
}

/** @throws {SourceError} with the place of the first error; `what` names the value */
export function readAnswer<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const reading = readWith(schema, value);
  if (reading.ok) return reading.value;
  const [first] = reading.diagnostics;
  throw new SourceError(`${what}: ${first === undefined ? "want another value" : diagnosticLine(first)}`);
}
