/** What to set when a check fails though the backend may well be fine. */

import { checkedPath } from "../config/checked.ts";
import type { HealthConfig } from "../config/schema.ts";
import type { Observation } from "./probes.ts";

/** Names the settings that decide about such a check; `undefined` where the backend alone can help. */
export function adviceOn({ status, error }: Observation, config: HealthConfig): string | undefined {
  const { type, body } = config;
  if (type !== "http") return undefined;
  if (status !== null && error?.startsWith("status ") === true) {
    return `set health.path (--health PATH) to a path that passes, in place of ${checkedPath(config)}, ` +
      `or health.status so that ${status} passes, or health.type "tcp" (--health tcp)`;
  }
  if (status !== null && body !== null) return "set health.body to a text that the response contains";
  if (error?.startsWith("timed out") === true) return "set health.timeout if the backend needs longer";
  if (error !== null && /certificate/i.test(error)) {
    return "set tls.ca of the backend to the authority that has signed its certificate";
  }
  return undefined;
}
