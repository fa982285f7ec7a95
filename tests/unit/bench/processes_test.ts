import { assert, assertEquals } from "@std/assert";
import { freePorts } from "../../../scripts/bench/processes.ts";

// A measurement was lost: the system gave a listener at port 0 the port that the proxy was about to take.
Deno.test("freePorts() gives no port twice, none in use, and none that the system gives away", async () => {
  const range = await Deno.readTextFile("/proc/sys/net/ipv4/ip_local_port_range").catch(() => "32768\t60999");
  const firstOfSystem = Number(range.split(/\s+/)[0]);
  const [next = 0] = freePorts(1);
  using _listener = Deno.listen({ hostname: "127.0.0.1", port: next + 1 });
  const ports = [...freePorts(50), ...freePorts(50)];
  assertEquals(new Set([next, next + 1, ...ports]).size, 102);
  assert(ports.every((port) => port < firstOfSystem), ports.join());
});
