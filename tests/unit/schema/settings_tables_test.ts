import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { withSettingsTables } from "../../../scripts/schema/settings_tables.ts";

const page = await Deno.readTextFile(new URL("../../../docs/configuration.md", import.meta.url));

Deno.test("withSettingsTables() gives the same page again, which docs/configuration.md holds", () => {
  assertEquals(withSettingsTables(page), page, "out of date: run `deno task schema`");
});

Deno.test("withSettingsTables() says of a setting what stands on it in the schema", () => {
  const rows = page.split("\n").filter((row) => row.split(" | ").length === 4);
  const rowOf = (name: string) => rows.find((row) => row.startsWith(`| \`${name}\` |`)) ?? "";
  assertStringIncludes(rowOf("proxy.port"), "| 0–65535 | `8080` |");
  assertStringIncludes(rowOf("proxy.port"), "A change takes a restart. |");
  assertStringIncludes(rowOf("proxy.tls"), "Turning it on or off takes a restart. |");
  assertStringIncludes(rowOf("proxy.workers"), '| `"auto"` or 1–256 | `1` |');
  assertStringIncludes(rowOf("proxy.maxHeaderSize"), '| size, 256B–16MiB | `"64KiB"` |');
  assertStringIncludes(rowOf("proxy.maxHeaderSize"), "Only with engine `wire`. |");
  assertStringIncludes(rowOf("proxy.maxBodySize"), '| `"unlimited"` or size | `"unlimited"` |');
  assertStringIncludes(rowOf("proxy.trustForwarded"), '| list of `"unix"` or text | `[]` |');
  assertStringIncludes(rowOf("backends[].url"), "| text | required |");
  assertStringIncludes(rowOf("proxy.tls.cert"), "| text |  |");
  assertStringIncludes(rowOf("sticky.timeout"), '| duration, 1s–400d | `"30m"` |');
  assertStringIncludes(rowOf("health.interval"), '| duration from 1ms | `"5s"` |');
  assertStringIncludes(rowOf("health.tls"), "| `true`, `false` or `null` | `null` |");
  assertStringIncludes(rowOf("queue.hold"), '| duration | `"3s"` |');
  assertStringIncludes(rowOf("admin.token"), "never show it");
});

Deno.test("withSettingsTables() refuses a page that leaves a setting out, or asks for one that there is not", () => {
  assertThrows(
    () => withSettingsTables(page.replace(/<!-- settings: log\.\* -->/, "")),
    Error,
    "in no table: log.level",
  );
  assertThrows(
    () => withSettingsTables(page.replace("settings: log.*", "settings: log.*, lgo.*")),
    Error,
    "no such settings: lgo.*",
  );
});
