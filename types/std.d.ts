// Types of the few standard-library functions used here: the npm copy of the library carries none.

declare module "@std/assert" {
  /** Fails unless `expr` is truthy. */
  export function assert(expr: unknown, msg?: string): asserts expr;
  /** Fails unless both are deeply equal. */
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  /** Fails if both are deeply equal. */
  export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
  /** Fails unless both are the same value (`Object.is`). */
  export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T;
  /** Fails if `actual` is `null` or `undefined`. */
  export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;
  /** Fails unless `actual` matches the expression. */
  export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
  /** Fails if `actual` matches the expression. */
  export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;
  /** Fails unless `actual` contains `expected`. */
  export function assertStringIncludes(actual: string, expected: string, msg?: string): void;
  /** Fails unless `actual` has every property of `expected`, deeply. */
  export function assertObjectMatch(
    actual: Record<PropertyKey, unknown>,
    expected: Record<PropertyKey, unknown>,
    msg?: string,
  ): void;
  /** Fails unless `actual > expected`. */
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
  /** Fails unless `actual >= expected`. */
  export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;
  /** Fails unless `actual < expected`. */
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
  /** Fails unless `actual <= expected`. */
  export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;
  /** Fails unless `fn` throws an `ErrorClass` whose message includes `msgIncludes`; returns the error. */
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass?: abstract new (...args: never[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): E;
  /** The same for a promise that rejects. */
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass?: abstract new (...args: never[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  /** Fails. */
  export function fail(msg?: string): never;
}

declare module "@std/cli/parse-args" {
  export interface ParseOptions {
    readonly string?: readonly string[];
    readonly boolean?: readonly string[];
    readonly collect?: readonly string[];
    readonly alias?: Readonly<Record<string, string | readonly string[]>>;
    readonly default?: Readonly<Record<string, unknown>>;
    readonly stopEarly?: boolean;
    /** Called for each flag and positional argument not named in the options; `false` leaves it out of the result. */
    readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  export function parseArgs(
    args: string[],
    options?: ParseOptions,
  ): Record<string, unknown> & { _: (string | number)[] };
}

declare module "@std/testing/mock" {
  export interface MockCall {
    readonly args: readonly unknown[];
    readonly returned?: unknown;
  }
  export interface Spy {
    (...args: never[]): unknown;
    readonly calls: MockCall[];
    restore(): void;
    [Symbol.dispose](): void;
  }
  /** Replaces `object[method]` by `replacement` until restored. */
  export function stub<T>(object: T, method: keyof T, replacement?: (...args: never[]) => unknown): Spy;
  /** Wraps a function and records its calls. */
  export function spy(fn?: (...args: never[]) => unknown): Spy;
}

declare module "@std/path/basename" {
  /** The last part of a path. */
  export function basename(path: string): string;
}

declare module "@std/path/dirname" {
  /** A path without its last part. */
  export function dirname(path: string): string;
}

declare module "@std/path/resolve" {
  /** The absolute path that the paths lead to, one after the other. */
  export function resolve(...paths: string[]): string;
}
