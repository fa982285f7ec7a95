/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * A backend in its own isolate, so that it answers on time while the test is busy: after `?after=` milliseconds. Posts its
 * port, and then a message for each request that has arrived.
 */

const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
  self.postMessage("asked");
  const after = Number(new URL(request.url).searchParams.get("after"));
  if (after > 0) await new Promise((resolve) => setTimeout(resolve, after));
  return new Response("on time");
});
self.postMessage(server.addr.port);
