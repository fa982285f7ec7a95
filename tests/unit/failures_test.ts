import { assertEquals } from "@std/assert";
import * as failures from "../../src/failures.ts";

const src = new URL("../../src/", import.meta.url);

function* filesBelow(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesBelow(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}

Deno.test("each failure of a request is made in one place", () => {
  // Both engines made them where they met them: the same failure got other words, or another side, from each.
  const makers = Array.from(filesBelow(src))
    .filter((file) => Deno.readTextFileSync(file).includes("new ProxyError("))
    .map(({ href }) => href.slice(src.href.length));
  assertEquals(makers, ["failures.ts"]);
});

Deno.test("only what a backend did counts against it", () => {
  const cause = new Error("cause");
  const made = {
    backend: [
      failures.connectFailed("refused"),
      failures.connectTimeout(true),
      failures.connectionLost("reset"),
      failures.malformedResponse("odd"),
      failures.responseTimeout(),
      failures.idleTimeout(),
    ],
    client: [
      failures.clientGone(),
      failures.refused("bad_request", "odd"),
      failures.methodNotAllowed("TRACE"),
      failures.hostMissing(),
      failures.bodyTooLarge(3),
      failures.bodyMalformed(),
      failures.bodyTimeout(),
      failures.stopping(),
    ],
    proxy: [
      failures.connectionLost("reset", "proxy"),
      failures.requestTimeout(),
      failures.noBackend(),
      failures.queueFull("full"),
      failures.exhausted(cause),
      failures.unexpected(cause),
    ],
  };
  for (const [side, errors] of Object.entries(made)) {
    assertEquals(errors.filter((error) => error.side !== side), []);
  }
  const unsent = Object.values(made).flat().filter(({ requestSent }) => !requestSent).map(({ code }) => code);
  assertEquals(
    new Set(unsent),
    new Set([
      "connect_failed",
      "bad_request",
      "method_not_allowed",
      "body_too_large",
      "stopping",
      "no_backend",
      "queue_full",
      "internal",
    ]),
  );
});
