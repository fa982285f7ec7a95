/** The route that shows the configuration in use. */

import { type Config, configSchema } from "../../config/schema.ts";
import { showConfig } from "../../config/show.ts";
import { jsonAnswer } from "../description.ts";
import type { Route } from "../guard.ts";
import { answerJson } from "../view.ts";

/** What this route shows. */
export interface ConfigSource {
  /** As of the last reload. */
  readonly configInForce: () => Config;
}

/** `/config`, with secrets hidden. */
export function configRoutes({ configInForce }: ConfigSource): readonly Route[] {
  return [{
    path: "/config",
    methods: {
      GET: {
        about: {
          summary: "The configuration in use, in the form of the file, without secrets",
          answers: [jsonAnswer(configSchema.meta({ title: "Configuration" }), "The configuration")],
        },
        answer: () => answerJson(showConfig(configInForce())),
      },
    },
  }];
}
