import { assertEquals } from "@std/assert";
import { notYetSupported } from "../../../src/config/not_yet.ts";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";
import { formatPath } from "../../../src/config/setting_path.ts";

// Delete a row here together with its row in `not_yet.ts`.
const REFUSED: readonly (readonly [string, ConfigFile])[] = [
  ["backends[0].tls.insecure", { backends: [{ url: "http://b", tls: { insecure: true } }] }],
];

Deno.test("notYetSupported() refuses each setting whose feature does not exist", () => {
  for (const [path, file] of REFUSED) {
    const problems = notYetSupported(configSchema.parse(file));
    assertEquals(problems.map((problem) => `${formatPath(problem.path)}: ${problem.text}`), [
      `${path}: not supported yet`,
    ]);
  }
});

Deno.test("notYetSupported() lets everything else pass", () => {
  const config = configSchema.parse({
    proxy: { host: "::1", port: 1 },
    admin: { host: "::1", port: 2, token: "t" },
    backends: [{ url: "http://a", weight: 5 }],
    health: { type: "tcp", path: "/x", interval: 1, healthyThreshold: 2, startUp: false },
    passive: { connectFailures: 3 },
    timeouts: { connect: 1, response: 2, shutdown: 3 },
    retries: { attempts: 5, budget: 1 },
    log: { level: "debug", format: "json" },
  });
  assertEquals(notYetSupported(config), []);
});
