/** Bodies of which no header tells: over HTTP/2 none has to (RFC 9113 §8.1). */

/** What the runtime keeps of a request behind its public face, as far as it matters here (Deno 2.9.6). */
interface Inner {
  readonly body?: { readonly streamOrStatic?: unknown } | null;
}

let innerSymbol: symbol | undefined;

/**
 * Whether a body may come with a request whose head tells nothing of one; `false` is certain.
 *
 * The runtime shows no body of a GET or HEAD and does not tell HTTP/2 from HTTP/1.1, so what an HTTP/2 client sends with
 * them would vanish. Inside it knows: it has taken a body whole when all of it is there, an empty one above all. That
 * costs a microsecond. Where a runtime does without these inner parts, a GET has no body, and others may have one.
 */
export function mayHaveBody(request: Request): boolean {
  const { method } = request;
  innerSymbol ??= Object.getOwnPropertySymbols(request).find(({ description }) => description === "request");
  const inner: Inner | undefined = innerSymbol === undefined ? undefined : Reflect.get(request, innerSymbol);
  const hidden = method === "GET" || method === "HEAD";
  if (inner === undefined || Object.hasOwn(inner, "method")) return !hidden && request.body !== null;
  if (hidden) Object.defineProperty(inner, "method", { value: "POST", configurable: true });
  const body = inner.body;
  if (hidden) Reflect.deleteProperty(inner, "method");
  if (body === null || body === undefined) return false;
  const { streamOrStatic } = body;
  return !(isWhole(streamOrStatic) && streamOrStatic.body.length === 0);
}

function isWhole(body: unknown): body is { readonly body: Uint8Array } {
  return typeof body === "object" && body !== null && "body" in body && body.body instanceof Uint8Array;
}
