/** Which settings to change when a check fails although the backend may be healthy. */

import { checkedPath } from "../config/checked.ts";
import type { HealthConfig } from "../config/schema.ts";
import type { Observation } from "./probes.ts";

/** Names the settings that may make the check pass; `undefined` if only the backend can be changed. */
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
