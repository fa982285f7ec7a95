import { assertEquals, assertRejects } from "@std/assert";
import { AdminError } from "../../../src/admin/admin_error.ts";
import { answered } from "../../../src/admin/routes/change_errors.ts";
import { PoolEndedError, UnknownBackendError } from "../../../src/pool/membership.ts";
import { RecordingLog } from "../../support/log.ts";

Deno.test("a change of a pool that a reload has ended in the meantime is told so, and not that a backend is missing", async () => {
  const told = async (error: Error) => {
    const refused = await assertRejects(() => answered(Promise.reject(error), new RecordingLog()), AdminError);
    return [refused.status, refused.message];
  };
  assertEquals(await told(new PoolEndedError()), [404, "the configuration no longer has the pool"]);
  assertEquals(await told(new UnknownBackendError("no")), [404, "the pool has no such backend"]);
});
