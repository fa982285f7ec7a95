/** The lower bound for engine `fetch`: a proxy of a few lines on the same two functions of the runtime. */
import type { Subject } from "../subject.ts";

/** It has nothing of a proxy but the forwarding: no headers of its own, no limits, no health checks and no counts. */
export const stub: Subject = {
  name: "stub",
  title: "stub of fetch",
  own: false,
  program: () => Deno.execPath(),
  remedy: "it needs deno",
  versionArgs: ["--version"],
  launch({ program, port, backends, certificate }) {
    if (certificate !== undefined) throw new Error("it has no HTTPS");
    const script = new URL("stub_proxy.ts", import.meta.url).pathname;
    const args = ["run", "--quiet", "--no-config", "--allow-net=127.0.0.1", script];
    return Promise.resolve({ command: program, args: [...args, ...[port, ...backends].map(String)] });
  },
};
