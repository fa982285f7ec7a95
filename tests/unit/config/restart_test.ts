import { assert, assertEquals } from "@std/assert";
import { restartNeeded, untilRestart } from "../../../src/config/restart.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { settingsOf } from "../../../src/config/setting.ts";

const SMALL = configSchema.parse({ backends: ["http://a"], timeouts: { response: "5s" } });
const ROUTED = configSchema.parse({
  backends: ["http://b"],
  proxy: { port: 1, compression: true },
  health: { path: "/up" },
  pools: { api: { backends: ["http://c"], sticky: {}, health: { type: "tcp" } } },
  routes: { "*/*": { pool: { api: 1, default: 2 }, compression: true }, "a/*": { respond: 404 } },
});

Deno.test("no setting of a pool or a route takes a restart", () => {
  const restarting = settingsOf(configSchema).filter(({ restart }) => restart !== undefined);
  assertEquals(restarting.filter(({ path: [top] }) => top === "pools" || top === "routes"), []);
  assert(restarting.length > 5);
  assertEquals(restartNeeded(SMALL, ROUTED, false), ["proxy.port", "proxy.compression"]);
  assertEquals(restartNeeded({ ...ROUTED, pools: {}, routes: null }, ROUTED, false), []);
});

Deno.test("untilRestart() keeps what the start said of such settings, and takes all else as it is now", () => {
  const { port, compression } = SMALL.proxy;
  assertEquals(untilRestart(SMALL, ROUTED), { ...ROUTED, proxy: { ...ROUTED.proxy, port, compression } });
  assertEquals(untilRestart(ROUTED, SMALL), { ...SMALL, proxy: { ...SMALL.proxy, port: 1, compression: true } });
});
