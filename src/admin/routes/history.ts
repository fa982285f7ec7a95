/** The route that shows the traffic of the last five minutes. */

import { AdminError } from "../admin_error.ts";
import type { Route } from "../guard.ts";
import type { HistoryView } from "../history.ts";
import { answerJson } from "../view.ts";

/** What this route shows. */
export interface HistorySource {
  readonly history: { view(only?: readonly string[]): HistoryView };
}

/** `/history`. */
export function historyRoutes({ history }: HistorySource): readonly Route[] {
  return [{
    path: "/history",
    methods: {
      GET: {
        query: ["pool"],
        answer(context) {
          const { pool } = context.get("query");
          if (pool === undefined) return answerJson(history.view());
          const view = history.view([pool]);
          if (view.pools[pool] === undefined) throw new AdminError(404, `there is no pool ${JSON.stringify(pool)}`);
          return answerJson(view);
        },
      },
    },
  }];
}
