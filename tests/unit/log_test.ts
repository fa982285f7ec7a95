// A line for a request does not go through LogTape, which took longer than all else about it. It must be the same line.

import { assertEquals, assertMatch } from "@std/assert";
import { stub } from "@std/testing/mock";
import { type LogOptions, setUpLog } from "../../src/log.ts";

const JSON_LINES: LogOptions = { level: "info", format: "json", access: true };

/** The lines that `act` has written, with the time of each replaced. */
async function linesOf(options: LogOptions, act: (logging: ReturnType<typeof setUpLog>) => void): Promise<string[]> {
  let text = "";
  using _ = stub(Deno.stderr, "write", (bytes: Uint8Array) => {
    text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  });
  const logging = setUpLog(options, "none");
  act(logging);
  await logging.close();
  return text.split("\n").slice(0, -1).map((line) => line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, "NOW"));
}

const FIELDS = { requestId: "a1", path: "/\u202e", status: 200, backend: null, durationMs: 0.5, none: undefined };

Deno.test("the line for a request is as any other, in each format and in order", async () => {
  for (const format of ["json", "text"] as const) {
    const [before, request, after] = await linesOf({ ...JSON_LINES, format }, ({ log }) => {
      log.info("another", FIELDS);
      log.info("request", FIELDS);
      log.warn("another", FIELDS);
    });
    assertEquals(request, before?.replace("another", "request"));
    assertMatch(after ?? "", /warn/i);
  }
});

Deno.test("the lines for requests keep to the level and the form that a reload sets", async () => {
  const lines = await linesOf({ ...JSON_LINES, level: "warn" }, ({ log, configure }) => {
    log.info("request", { n: 1 });
    configure(JSON_LINES);
    log.info("request", { n: 2 });
    configure({ ...JSON_LINES, level: "debug", format: "text" });
    log.info("request", { n: 3 });
    configure({ ...JSON_LINES, level: "error" });
    log.info("request", { n: 4 });
  });
  assertEquals(lines, ['{"time":"NOW","level":"info","message":"request","n":2}', "NOW INFO  request n=3"]);
});
