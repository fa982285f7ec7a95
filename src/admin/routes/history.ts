/** The route that shows the traffic of the last five minutes. */

import { AdminError } from "../admin_error.ts";
import type { Route } from "../guard.ts";
import type { HistoryFilter, HistoryView } from "../history.ts";
import { answerJson } from "../view.ts";

/** What this route shows. */
export interface HistorySource {
  readonly history: { view(only?: HistoryFilter): HistoryView };
}

/** `/history`. */
export function historyRoutes({ history }: HistorySource): readonly Route[] {
  return [{
    path: "/history",
    methods: {
      GET: {
        query: ["pool", "route"],
        answer(context) {
          const { pool, route } = context.get("query");
          if (pool === undefined && route === undefined) return answerJson(history.view());
          const view = history.view({ pool, route });
          if (pool !== undefined && view.pools[pool] === undefined) throw unknown("pool", pool);
          if (route !== undefined && view.routes[route] === undefined) throw unknown("route", route);
          return answerJson(view);
        },
      },
    },
  }];
}

function unknown(what: string, name: string): AdminError {
  return new AdminError(404, `there is no ${what} ${JSON.stringify(name.slice(0, 80))}`);
}
