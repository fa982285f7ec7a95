import { assert, assertEquals, assertRejects } from "@std/assert";
import { stub } from "@std/testing/mock";
import { BackendConnections } from "../../../../src/engines/wire/backend_connections.ts";
import { ServerPool } from "../../../../src/pool/server_pool.ts";
import { SharedState } from "../../../../src/pool/shared_state.ts";
import { backendSpec } from "../../../support/pool.ts";
import { waitFor } from "../../../support/wait.ts";

Deno.test("BackendConnections: who waited to dial gets no connection that has been idle for long", async () => {
  // A POST that had turned down an old idle connection was given it after all when a hundred others were dialling: if
  // the backend closed it just then, the POST was lost.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const pool = new ServerPool(SharedState.allocate());
  const backend = pool.add(backendSpec(`http://127.0.0.1:${listener.addr.port}`), "test");
  const connections = new BackendConnections(pool);
  const { signal } = new AbortController();
  const old = await connections.connect(backend, signal);
  connections.giveBack(old);
  await waitFor(() => !old.startedLately, { what: "the connection to be idle for long" });
  assertEquals(connections.takeIdle(backend, false), undefined);

  const dials: PromiseWithResolvers<Deno.TcpConn>[] = [];
  using _ = stub(Deno, "connect", () => {
    const dial = Promise.withResolvers<Deno.TcpConn>();
    dials.push(dial);
    return dial.promise;
  });
  const dialling = Array.from({ length: 100 }, () => assertRejects(() => connections.connect(backend, signal)));
  await waitFor(() => dials.length === 100, { what: "a hundred to dial" });
  const waiting = assertRejects(() => connections.connect(backend, signal));
  dials[0]?.reject(new Error("refused"));
  await waitFor(() => dials.length === 101, { what: "the one that waited to dial" });

  for (const dial of dials) dial.reject(new Error("refused"));
  await Promise.all([...dialling, waiting]);
  assert(connections.takeIdle(backend, true) === old);
  old.close();
  connections.close();
  (await accepted).close();
});
