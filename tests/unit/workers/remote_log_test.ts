import { assertEquals } from "@std/assert";
import type { LogLine } from "../../../src/workers/messages.ts";
import { RemoteLog } from "../../../src/workers/remote_log.ts";
import { waitFor } from "../../support/wait.ts";

Deno.test("RemoteLog sends the lines of one moment together and in order, of its level and above", async () => {
  const sent: (readonly LogLine[])[] = [];
  const log = new RemoteLog("warn", (lines) => sent.push(lines));
  log.info("too little", {});
  log.warn("one", { n: 1 });
  log.error("two", {});
  assertEquals([sent.length, log.isEnabledFor("info"), log.isEnabledFor("warning")], [0, false, true]);
  await waitFor(() => sent.length > 0, { what: "the lines" });
  log.level = "debug";
  log.debug("three", {});
  log.flush();
  log.flush();
  const line = (level: LogLine["level"], message: string, fields = {}): LogLine => ({ level, message, fields });
  assertEquals(sent, [[line("warn", "one", { n: 1 }), line("error", "two")], [line("debug", "three")]]);
  await new Promise((resolve) => setTimeout(resolve, 5)); // the timer of the last line finds nothing
  assertEquals(sent.length, 2);
});
