import { assertEquals } from "@std/assert";
import { configSchema } from "../../../src/config/schema.ts";
import { responderFor } from "../../../src/routing/own_response.ts";

const REQUEST = { secure: true, authority: "www.example.com:8443", target: "/a?b=c" };

/** What answers the only route. */
function responder(entry: Record<string, unknown>) {
  const [only] = configSchema.parse({ routes: { "*/*": entry } }).routes?.["*/*"] ?? [];
  if (only === undefined) throw new Error("there is one entry");
  return responderFor(only);
}

Deno.test("responderFor() fills the location of a redirect in", () => {
  const response = responder({ redirect: "{scheme}://example.com{uri}", status: 302 })?.(REQUEST);
  assertEquals([response?.status, response?.title, response?.headers, response?.body.length], [
    302,
    "Found",
    [["location", "https://example.com/a?b=c"]],
    0,
  ]);
  assertEquals(responder({ redirect: "https://{host}{path}" })?.(REQUEST)?.status, 308);
});

Deno.test("responderFor() gives a status alone neither body nor type", () => {
  const response = responder({ respond: 404 })?.(REQUEST);
  assertEquals([response?.status, response?.title, response?.headers], [404, "Not Found", []]);
});

Deno.test("responderFor() says what a body is, unless the entry does", () => {
  const headersOf = (respond: unknown) => responder({ respond })?.(REQUEST)?.headers;
  assertEquals(headersOf({ body: "hi" }), [["content-type", "text/plain; charset=utf-8"]]);
  assertEquals(headersOf({ body: "{}", contentType: "application/json" }), [["content-type", "application/json"]]);
  assertEquals(headersOf({ body: "", headers: { "Content-Type": "a/b", "X-A": "1" } }), [["content-type", "a/b"], [
    "x-a",
    "1",
  ]]);
});

Deno.test("responderFor() reads a file once, and what it is from its name", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/sorry.HTML`;
    await Deno.writeTextFile(file, "<p>soon</p>");
    const respond = responder({ respond: { status: 503, file } });
    await Deno.writeTextFile(file, "changed");
    const response = respond?.(REQUEST);
    assertEquals(new TextDecoder().decode(response?.body), "<p>soon</p>");
    assertEquals(response?.headers, [["content-type", "text/html; charset=utf-8"]]);
    assertEquals(respond?.(REQUEST), response);
    assertEquals(responder({ respond: { file: `${folder}/gone` } })?.(REQUEST), undefined, "that route alone suffers");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("responderFor() leaves requests for a pool alone", () => {
  assertEquals(responder({ pool: "default" }), undefined);
});
