/** The route that reloads the configuration. */

import { ConfigError } from "../../errors.ts";
import { reloadAnswer } from "../answers.ts";
import { jsonAnswer } from "../description.ts";
import type { ReloadReport } from "../reload_report.ts";
import { NO_FIELDS, readFields } from "../fields.ts";
import type { Route } from "../guard.ts";
import { AdminError } from "../admin_error.ts";
import { answerJson } from "../view.ts";

/** What this route does. */
export interface ReloadTarget {
  /** Throws a `ConfigError` when the configuration is invalid; then nothing has changed. */
  readonly reload: () => Promise<ReloadReport>;
}

/** `/reload`. */
export function reloadRoutes({ reload }: ReloadTarget): readonly Route[] {
  return [{
    path: "/reload",
    methods: {
      POST: {
        about: {
          summary: "Reads the configuration again; one with errors changes nothing",
          answers: [jsonAnswer(reloadAnswer, "What has changed")],
          refusals: [400],
        },
        answer: async (context) => {
          readFields(NO_FIELDS, context.get("body") ?? {}, "body");
          try {
            return answerJson(await reload());
          } catch (error) {
            throw error instanceof ConfigError ? new AdminError(400, error.message) : error;
          }
        },
      },
    },
  }];
}
