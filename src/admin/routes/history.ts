/** The route that shows the traffic of the last five minutes. */

import * as z from "zod";
import { AdminError } from "../admin_error.ts";
import { historyAnswer } from "../answers.ts";
import { jsonAnswer } from "../description.ts";
import type { Route } from "../guard.ts";
import type { HistoryFilter, HistoryView } from "../history.ts";
import { answerJson, answerText } from "../view.ts";
import { nextTurn } from "../../net/next_turn.ts";

/** What this route shows. */
export interface HistorySource {
  readonly history: {
    view(filter: HistoryFilter): HistoryView;
    pieces(): Iterable<string>;
  };
}

/** How long pieces of a long answer are put together before others get a turn. */
const TURN_MS = 5;

const only = z.object({
  pool: z.string().exactOptional().describe("Shows this pool only, with or without traffic"),
  route: z.string().exactOptional().describe("Shows the route with this label only, with or without traffic"),
});

/** `/history`. */
export function historyRoutes({ history }: HistorySource): readonly Route[] {
  return [{
    path: "/history",
    methods: {
      GET: {
        about: {
          summary: "The traffic of the last five minutes, a second at a time",
          answers: [jsonAnswer(historyAnswer, "The traffic, oldest second first")],
          refusals: [404],
        },
        query: only,
        answer(context) {
          const { pool, route } = context.get("query");
          if (pool === undefined && route === undefined) return whole(history);
          const view = history.view({ pool, route });
          if (pool !== undefined && view.pools[pool] === undefined) throw unknown("pool", pool);
          if (route !== undefined && view.routes[route] === undefined) throw unknown("route", route);
          return answerJson(view);
        },
      },
    },
  }];
}

async function whole(history: HistorySource["history"]): Promise<Response> {
  let text = "";
  let turnBegan = performance.now();
  for (const piece of history.pieces()) {
    text += piece;
    if (performance.now() - turnBegan < TURN_MS) continue;
    await nextTurn();
    turnBegan = performance.now();
  }
  return answerText(text);
}

function unknown(what: string, name: string): AdminError {
  return new AdminError(404, `there is no ${what} ${JSON.stringify(name.slice(0, 80))}`);
}
