/** The route that describes the admin API. */

import { answerJson } from "../view.ts";
import { jsonAnswer } from "../description.ts";
import type { Route } from "../guard.ts";
import { openApiAnswer, openApiOf, type OpenApiSource } from "../openapi.ts";

/** `/openapi.json`. The description is made at the first request, so that the start does not wait for it, and kept. */
export function openApiRoutes(source: OpenApiSource): readonly Route[] {
  let made: unknown;
  return [{
    path: "/openapi.json",
    methods: {
      GET: {
        about: {
          summary: "This description of the admin API",
          answers: [jsonAnswer(openApiAnswer, "An OpenAPI 3.1 document")],
        },
        answer: () => answerJson(made ??= openApiOf(source)),
      },
    },
  }];
}
