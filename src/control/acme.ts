/** Connects certificates by ACME with the state of this process, and with the other replicas. */

import type { Store } from "../cluster/store.ts";
import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import { ChallengeFolder } from "../tls/acme/challenge_folder.ts";
import { Challenges } from "../tls/acme/challenges.ts";
import type { AcmeContext } from "../tls/acme/context.ts";

export interface AcmeParts {
  readonly config: Config;
  /** The folder for state. `undefined`: there is none. */
  readonly state: string | undefined;
  /** The store of the cluster. `undefined`: it is away, or there is no cluster. */
  readonly store: () => Store | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

export async function acmeContext({ config: { cluster }, state, store, log, clock }: AcmeParts): Promise<AcmeContext> {
  const folders: AcmeContext["folders"] = new Map();
  const folder = ChallengeFolder.in(state);
  const near = folder === undefined ? [] : [folder];
  if (cluster === null || cluster.secret === null) {
    return { state, folders, challenges: new Challenges(...near), shared: () => undefined };
  }
  const { shareThrough } = await import("../cluster/sharing.ts"); // most are in no cluster
  const { challenges, certificates } = shareThrough({ store, secret: cluster.secret, log, clock });
  return { state, folders, challenges: new Challenges(...near, challenges), shared: certificates };
}
