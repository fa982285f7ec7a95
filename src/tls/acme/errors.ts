/** How getting a certificate can fail. */

/** What `AcmeError` says beside its message. */
export interface AcmeErrorOptions extends ErrorOptions {
  /** The last part of the problem's type (RFC 8555 §6.7), such as `rateLimited`. */
  readonly problem?: string | undefined;
  /** How long the authority asks to wait. */
  readonly retryAfterMs?: number | undefined;
  /** No order can succeed now: the authority can't be reached, or does not take the account. */
  readonly concernsAll?: boolean;
}

/** The authority is away, has refused something, or has sent what makes no sense. */
export class AcmeError extends Error {
  override readonly name = "AcmeError";
  readonly problem: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly concernsAll: boolean;

  constructor(message: string, { problem, retryAfterMs, concernsAll = false, ...options }: AcmeErrorOptions = {}) {
    super(message, options);
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
    this.concernsAll = concernsAll;
  }
}
