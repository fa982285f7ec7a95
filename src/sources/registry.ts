/** Makes the source that a configuration asks for. A new kind needs a line here. */

import type { Discover } from "../config/schema/discover.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import { DnsSource } from "./dns/dns.ts";
import { DockerSource } from "./docker/docker.ts";
import { EtcdSource } from "./etcd/etcd.ts";
import { FileSource } from "./file.ts";
import { HttpSource } from "./http.ts";
import { KubernetesSource } from "./kubernetes/kubernetes.ts";
import type { BackendSource } from "./source.ts";
import { SrvSource } from "./dns/srv.ts";

/** What sources work with. */
export interface SourceContext {
  readonly clock: Clock;
  /** From 0 up to 1, for jitter. */
  readonly random: () => number;
  readonly log: Log;
}

/** The source that a setting names. It does nothing before it is run. */
export function sourceOf(discover: Discover, context: SourceContext): BackendSource {
  switch (discover.kind) {
    case "dns":
      return new DnsSource(discover, context);
    case "srv":
      return new SrvSource(discover, context);
    case "file":
      return new FileSource(discover, context);
    case "http":
      return new HttpSource(discover, context);
    case "docker":
      return new DockerSource(discover, context);
    case "etcd":
      return new EtcdSource(discover, context);
    case "kubernetes":
      return new KubernetesSource(discover, context);
  }
}
