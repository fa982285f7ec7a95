/** Makes the source that a configuration asks for. A new kind needs a line here. */

import type { Discover } from "../config/schema/discover.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import type { BackendSource } from "./source.ts";

/** What sources work with. */
export interface SourceContext {
  readonly clock: Clock;
  /** From 0 up to 1, for jitter. */
  readonly random: () => number;
  readonly log: Log;
}

/** The source that a setting names. Its module is loaded when it is run: most pools have none. */
export function sourceOf(discover: Discover, context: SourceContext): BackendSource {
  return { run: async (report, stop) => await (await load(discover, context)).run(report, stop) };
}

async function load(discover: Discover, context: SourceContext): Promise<BackendSource> {
  switch (discover.kind) {
    case "dns":
      return new (await import("./dns/dns.ts")).DnsSource(discover, context);
    case "srv":
      return new (await import("./dns/srv.ts")).SrvSource(discover, context);
    case "file":
      return new (await import("./file.ts")).FileSource(discover, context);
    case "http":
      return new (await import("./http.ts")).HttpSource(discover, context);
    case "docker":
      return new (await import("./docker/docker.ts")).DockerSource(discover, context);
    case "etcd":
      return new (await import("./etcd/etcd.ts")).EtcdSource(discover, context);
    case "kubernetes":
      return new (await import("./kubernetes/kubernetes.ts")).KubernetesSource(discover, context);
  }
}
