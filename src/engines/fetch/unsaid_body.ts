/** Finds bodies that no header announces. Over HTTP/2, no header is needed (RFC 9113 §8.1). */

/** The part of the runtime's internal state of a request that is used here (Deno 2.9.6). */
interface Inner {
  readonly body?: { readonly streamOrStatic?: unknown } | null;
}

let innerSymbol: symbol | undefined;

/**
 * Whether a request may have a body that its head does not announce. `false` is certain.
 *
 * The runtime shows no body for GET and HEAD, and does not tell HTTP/2 from HTTP/1.1. So a body that an HTTP/2 client
 * sends with them would be lost. Its internal state has the body. It also shows whether the whole body has arrived,
 * such as an empty one. Reading it costs a microsecond. If a later runtime has no such state, a GET counts as having no
 * body, and other methods may have one.
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
