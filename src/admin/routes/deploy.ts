/** A deployment: the whole list of a pool's backends is replaced, without a failed request. */

import * as z from "zod";
import { sameBackends } from "../../config/pool_checks.ts";
import { engineMismatches } from "../../config/engine_limits.ts";
import { duration } from "../../config/fields.ts";
import { DEFAULT_POOL_NAME } from "../../config/pool_settings.ts";
import { backendList, type BackendSpec, type Config, configSchema } from "../../config/schema.ts";
import { formatPath } from "../../config/setting_path.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { TrialsFailedError } from "../../pool/deployment.ts";
import { readBackendFiles } from "../../tls/backend_files.ts";
import { AdminError, invalidFields } from "../admin_error.ts";
import type { AdminPool } from "../admin_pool.ts";
import type { DeploymentPhase, EventFeed } from "../event_feed.ts";
import { readFields } from "../fields.ts";
import type { AdminContext } from "../guard.ts";
import { answerJson } from "../view.ts";
import { answered } from "./change_errors.ts";
import { optionsOf } from "./for_whom.ts";

/** What a deployment changes and tells. */
export interface DeployTarget {
  readonly log: Log;
  readonly facts: () => { readonly engine: Config["engine"] };
  readonly events: EventFeed;
}

/** The reason that pool events of this origin carry. */
const REASON = "deployment";

/** How long new backends may take, and how long old ones drain, unless the request says otherwise. */
const DEFAULT_MS = 30_000;

/** The body of `PUT /backends`. */
export const deployment = z.strictObject({
  backends: backendList.min(1, "at least one backend"),
  wait: duration(0).exactOptional(),
  drain: duration(0).exactOptional(),
}).meta({ title: "Deployment" });

/** `PUT /backends`. Answers when the backends that left are removed. */
export async function deploy(context: AdminContext, target: DeployTarget, pool: AdminPool): Promise<Response> {
  const { backends: specs, wait = DEFAULT_MS, drain = DEFAULT_MS } = readFields(
    deployment,
    context.get("body"),
    "body",
  );
  refuseUnusable(specs, target);
  const { log, events } = target;
  const { name, membership } = pool;
  const about = { pool: name, client: context.env.peer };
  const tell = (phase: DeploymentPhase, fields: Readonly<Record<string, unknown>>) => {
    log[phase === "ended" ? "warn" : "info"](`deployment ${phase}`, { ...about, ...fields });
    events.deployment(name, phase, fields);
  };
  try {
    const lists = await membership.deploy({
      specs,
      waitMs: wait,
      drainMs: drain,
      reason: REASON,
      ...optionsOf(context),
      abandoned: context.req.raw.signal,
      begun: (waitingFor) => tell("begun", { waitingFor, backends: specs.map(({ url }) => url) }),
      switched: (lists) => tell("switched", { ...lists }),
    });
    tell("done", {});
    return answerJson(lists);
  } catch (error) {
    const failed = error instanceof TrialsFailedError ? { failed: error.failed } : {};
    tell("ended", { reason: messageOf(error), ...failed });
    return await answered(Promise.reject(error), log);
  }
}

/** 400 for a list that the configuration file could not contain either. */
function refuseUnusable(backends: readonly BackendSpec[], { facts }: DeployTarget): void {
  const config: Config = { ...configSchema.parse({ engine: facts().engine }), backends };
  const diagnostics = [
    ...sameBackends(backends, formatPath),
    ...engineMismatches(config).filter(({ path }) => path[0] === "backends"),
  ];
  if (diagnostics.length > 0) throw invalidFields(diagnostics, "body");
  try {
    readBackendFiles(new Map([[DEFAULT_POOL_NAME, { backends }]]));
  } catch (error) {
    throw error instanceof ConfigError ? new AdminError(400, error.message) : error;
  }
}
